"""Placeholder."""

from report.sweep import write_sweep_page

__all__ = ["write_sweep_page"]
