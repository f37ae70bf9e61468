"""The one way in which the champion changes: journal that it begins, change the pointer, align the registry,
journal that it ended.

Promotion, rollback and restoration differ in what changes the pointer and in nothing else. Whoever moves
holds the lock of the project's releases. Does not decide what moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from model.faults import fault
from release.journal import Entry, Event, new_operation
from release.releases import Releases

MoveKind = Literal["promotion", "rollback", "restore", "renumbering"]

BEGUN: dict[MoveKind, Event] = {
    "promotion": "promotion begun",
    "rollback": "rollback begun",
    "restore": "restore begun",
    "renumbering": "renumbering begun",
}
"""Kind of a move → the entry that opens it."""

ENDED: dict[MoveKind, Event] = {
    "promotion": "promoted",
    "rollback": "rolled back",
    "restore": "restored",
    "renumbering": "renumbered",
}
"""Kind of a move → the entry that ends it, where a version serves afterwards."""

POINTS: dict[MoveKind, str] = {
    "promotion": "promotion_begun",
    "rollback": "rollback_begun",
    "restore": "restore_begun",
    "renumbering": "promotion_begun",
}
"""Kind of a move → the fault point after its opening entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A change of the champion."""

    kind: MoveKind
    version: int
    """Version that the pointer is to name; of a restoration, the one that it should no longer name."""
    begin_detail: str = ""
    """Why, for the journal."""
    end_detail: Callable[[int | None], str] = lambda former: ""
    """What it came to, given the version that served before, for the journal."""


def move(releases: Releases, wanted: Move, change: Callable[[], int | None]) -> int | None:
    """Change the champion; the version that the pointer names afterwards, None for none.

    Args:
        change: moves the pointer and returns what it names then. If it raises before the pointer has moved,
            the move is journalled as undone. A restoration stays open instead: its version must not serve,
            and the next start finishes it (`release.moves.unfinished`).

    Raises:
        Exception: whatever `change` raises.
        release.registry.client.RegistryProblem: the registry can't be reached; the pointer has moved all the
            same, and the next start moves the aliases.
    """
    former, operation = releases.serving(), new_operation()

    def note(event: Event, version: int | None, detail: str) -> None:
        releases.journal.append(
            Entry(event=event, version=version, former=former, operation=operation, detail=detail)
        )

    note(BEGUN[wanted.kind], wanted.version, wanted.begin_detail)
    fault(POINTS[wanted.kind])
    try:
        now = change()
    except Exception as error:
        if wanted.kind != "restore" and (releases.serving() != wanted.version or former == wanted.version):
            note("undone", wanted.version, f"nothing was moved: {error or type(error).__name__}")
        raise
    fault("pointer_moved")
    releases.align()
    releases.bind()
    if wanted.kind == "restore" and now is None:
        note("withdrawn", wanted.version, wanted.begin_detail)
    elif wanted.kind == "rollback" and now == former:
        note("reconciled", now, "its copy was fetched again")
    else:
        note(ENDED[wanted.kind], now, wanted.end_detail(former))
    fault("move_journalled")
    return now
