"""Judging a candidate."""
