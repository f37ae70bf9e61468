"""What was promoted, restored and rolled back: JSON lines that are only ever appended to.

Aliases keep no history, so this is where an operator reads it and where a restart finds what was left
half done. Does not know what the events mean (`release.moves.reconcile`).
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from model.bundle.masking import masked
from model.errors import HeadgateError
from model.files import RecordDamaged, append_line, as_record, parse_json, plain_bytes
from serving.processes import account

Event = Literal[
    "registered",
    "judged again",
    "promotion begun",
    "promoted",
    "promotion refused",
    "deployed",
    "not deployed",
    "unconfirmed",
    "restore begun",
    "restored",
    "withdrawn",
    "rollback begun",
    "rolled back",
    "watched",
    "followed",
    "refused",
    "undone",
    "reconciled",
    "left out",
    "renumbering begun",
    "renumbered",
    "adopted",
]


class JournalBroken(HeadgateError):
    """A line of the journal is not what was written, or its file can't be read; the message names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened."""

    event: Event
    """What. A newer version may have written another word, which this one only shows."""
    version: int | None
    """Registered version that it is about."""
    detail: str = ""
    """One sentence for people: why, or what it replaced."""
    operation: str = ""
    """The same for all entries of one promotion, rollback or restoration."""
    former: int | None = None
    """Version that served before."""
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """When: ISO 8601, UTC."""
    pid: int = field(default_factory=os.getpid)
    """Process that wrote it."""
    by: str = field(default_factory=account)
    """Account that it ran under; empty in entries of earlier versions."""


class Journal:
    """The journal of one project.

    Args:
        path: the file; made with the first entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: Entry) -> None:
        """Add an entry and bring it to the disk before returning.

        A line that a crash cut short was never acknowledged; it is removed first.

        Raises:
            OSError: the disk is full or not writable; the journal is as it was.
        """
        entry = replace(entry, detail=masked(entry.detail))
        line = json.dumps(_to_json(entry), ensure_ascii=False, allow_nan=False).encode() + b"\n"
        append_line(self.path, line)

    def entries(self) -> list[Entry]:
        """All entries, oldest first, as far as this version knows their fields. A torn last line is left out.

        Raises:
            JournalBroken: any other line is not an entry, or the file can't be read.
        """
        try:
            data = plain_bytes(self.path) or b""
        except RecordDamaged as error:
            raise self._broken("", error) from error
        *lines, torn = data.split(b"\n")
        if torn and not torn.startswith(b"{"):  # an entry that a crash cut short begins like one
            lines.append(torn)
        found = []
        for number, line in enumerate(lines, start=1):
            try:
                found.append(as_record(_with_by(parse_json(line)), Entry))
            except RecordDamaged as error:
                raise self._broken(f", line {number}", error) from error
        return found

    def _broken(self, place: str, seen: RecordDamaged) -> JournalBroken:
        return JournalBroken(
            f"{self.path}{place}: not a journal entry: {seen}; somebody changed it. Restore it from a "
            f"backup; without one, `mv {self.path} {self.path}.damaged` begins a new journal"
        )

    def history(self, most: int = 20) -> list[dict[str, Any]]:
        """The last entries as plain JSON, newest first: `at`, `event`, `version`, `detail`, …"""
        return [_to_json(entry) for entry in reversed(self.entries()[-most:])]


def _with_by(raw: Any) -> Any:
    """An entry of an earlier version says nothing of who wrote it: it was not who reads it now."""
    return {"by": "", **raw} if isinstance(raw, dict) else raw


def new_operation() -> str:
    """A name for the entries of one operation."""
    return secrets.token_hex(6)


def _to_json(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Entry.__slots__}
