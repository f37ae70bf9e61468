"""The files of what is registered."""
