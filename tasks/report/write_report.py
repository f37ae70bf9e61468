"""Placeholder."""

from report.release.gather import write_report

__all__ = ["write_report"]
