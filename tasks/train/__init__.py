"""Tasks about models: fit, teach, package."""
