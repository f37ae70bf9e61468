"""The configuration: one YAML file a project, one schema, all errors at once."""
