"""Tasks about data: merge, prepare, validate, check labels."""
