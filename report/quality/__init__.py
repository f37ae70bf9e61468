"""The data quality page, a section a module."""
