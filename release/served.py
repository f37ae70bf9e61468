"""Which versions there are to go back to, by the signed pointers and the journal: one answer for all who ask.

`headgate rollback`, the alias `previous` and `headgate status` name the same version by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from release.journal import Entry
from serving.store.release_folder import ReleaseFolder


def served_versions(folder: ReleaseFolder, public_key: Path, entries: Sequence[Entry]) -> list[int]:
    """Versions to fall back on, the one that serves last.

    Going back to a version forgets those promoted after it: whoever rolls back twice goes back two
    versions, and never to the one that was just left. Withdrawn versions are not among them.
    """
    if folder.latest_pointer(public_key) is None:
        return []
    gone = withdrawn_versions(entries)
    return [version for version in reversed(folder.fallbacks(public_key)) if version not in gone]


def withdrawn_versions(entries: Sequence[Entry]) -> set[int | None]:
    """Versions that were taken out of service with nothing to go back to, and did not serve since. That a
    folder is missing does not say so: it may have been lost, and can be fetched again."""
    found: set[int | None] = set()
    for entry in entries:
        if entry.event == "withdrawn":
            found.add(entry.version)
        elif entry.event in ("promoted", "rolled back", "restored"):
            found.discard(entry.version)
    return found


def way_back(served: Sequence[int], champion: int | None) -> int | None:
    """The version that a rollback goes to; None where there is none, or nothing serves."""
    earlier = [version for version in served if version != champion]
    return earlier[-1] if champion is not None and earlier else None
