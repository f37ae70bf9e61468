"""How a job reports its progress to whoever started it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Shows how far one piece of work is, such as `report.progress.Step`."""

    outcome: str
    """What came of the work, in a few words; shown at its end."""

    def to(self, done: int, total: int | None, note: str = "") -> None:
        """So much is done; `note` is a short figure, such as the loss."""


class Silent:
    """Shows nothing."""

    outcome = ""

    def to(self, done: int, total: int | None, note: str = "") -> None:
        """Does nothing."""
