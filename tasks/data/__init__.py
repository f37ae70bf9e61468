"""Tasks about data: merge, find what changed, prepare a run, weigh chances, validate, check labels."""
