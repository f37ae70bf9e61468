"""Profile: figures about a dataset, without any of its texts."""
