"""Quickstart: the generated data of the example project."""
