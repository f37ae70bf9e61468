"""Prefect's server on a state folder: its empty database."""
