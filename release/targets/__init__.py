"""Targets: where a version is deployed to, and how it is tried there."""
