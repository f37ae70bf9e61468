"""MLflow's own command line on the registry of a project."""
