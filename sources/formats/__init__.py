"""Formats: find the files of a source and read each format into one table of strings."""
