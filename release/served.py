"""Which versions there are to go back to, by the signed pointers and the journal: one answer for all who ask.

`headgate rollback`, the alias `previous` and `headgate status` name the same version by it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from release.home import Home
from release.journal import Entry, Event
from release.registry.bond import released_bundle
from serving.store.manifest import RELEASE_FILE, ReleaseRefused, read_file
from serving.store.release_folder import ReleaseFolder

SERVES_AGAIN: tuple[Event, ...] = ("promoted", "rolled back", "restored", "renumbered", "adopted")
"""Entries of a version that serves, whatever was said of it before."""


def served_versions(folder: ReleaseFolder, public_key: Path, entries: Sequence[Entry]) -> list[int]:
    """Versions to fall back on, the one that serves last.

    Going back to a version forgets those promoted after it: whoever rolls back twice goes back two
    versions, and never to the one that was just left. Withdrawn versions are not among them, and a bundle
    that was registered again under another number is there once, under the last one.
    """
    if folder.latest_pointer(public_key) is None:
        return []
    gone = withdrawn_versions(entries)
    kept: dict[str, int] = {}
    for version in folder.fallbacks(public_key):
        if version not in gone:
            kept.setdefault(released_bundle(folder, version, public_key) or str(version), version)
    return list(reversed(kept.values()))


def signed_manifests(home: Home, name: str = "*") -> Iterator[dict[str, Any]]:
    """What the release folders of a state folder say of their versions, verified or not: what they name must
    stay, also where a version may not serve at the moment."""
    for file in sorted((home.root / "releases").glob(f"{name}/versions/*/{RELEASE_FILE}")):
        with contextlib.suppress(ReleaseRefused, ValueError):
            if isinstance(raw := json.loads(read_file(file)), dict):
                yield raw


def withdrawn_versions(entries: Sequence[Entry]) -> set[int | None]:
    """Versions that were taken out of service with nothing to go back to, and did not serve since. That a
    folder is missing does not say so: it may have been lost, and can be fetched again."""
    found: set[int | None] = set()
    for entry in entries:
        if entry.event == "withdrawn":
            found.add(entry.version)
        elif entry.event in SERVES_AGAIN:
            found.discard(entry.version)
    return found


def way_back(served: Sequence[int], champion: int | None) -> int | None:
    """The version that a rollback goes to; None where there is none, or nothing serves."""
    earlier = [version for version in served if version != champion]
    return earlier[-1] if champion is not None and earlier else None
