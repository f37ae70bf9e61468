"""Finish or undo moves that the journal shows as begun and not ended, because their process died.

Whoever takes the lock of a project's releases to move something finishes first, so that nobody builds on half
a move. Does not look for other damage (`release.moves.reconcile`).
"""

from __future__ import annotations

from release.journal import Entry, Event
from release.moves.move import BEGUN, ENDED, MoveKind
from release.moves.restore import restore_locked
from release.releases import Releases

KINDS: dict[Event, MoveKind] = {event: kind for kind, event in BEGUN.items()}
"""Entry that opens a move → its kind."""


def finish_moves(releases: Releases) -> list[str]:
    """Bring every move to its end, by whether the pointer had moved; one sentence each.

    Call it with the lock held: then nobody else can be in the middle of one.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    entries = releases.journal.entries()
    ended = {entry.operation for entry in entries if entry.event not in KINDS}
    done = [
        _finish(releases, e, KINDS[e.event]) for e in entries if e.event in KINDS and e.operation not in ended
    ]
    refused = _refused_champion(releases)
    if refused is not None:
        back = restore_locked(releases, refused, "the endpoint did not answer as it was judged")
        done.append(
            f"the endpoint refused version {refused}, which was taken out; version {back or 'none'} serves"
        )
    return done


def _finish(releases: Releases, begun: Entry, kind: MoveKind) -> str:
    pointer = releases.pointer()
    moved = pointer is not None and pointer.version == begun.version
    version: int | None = begun.version
    event: Event = "undone"
    if kind == "restore":
        # Begun because the version must not serve: if the pointer still names it, it goes now.
        if releases.serving() == begun.version and begun.version is not None:
            restore_locked(releases, begun.version, begun.detail)
        releases.align()
        serving = releases.serving()
        event, version = ("restored", serving) if serving is not None else ("withdrawn", begun.version)
        done = f"the restoration from version {begun.version} was finished"
    elif moved:
        releases.align()
        event, done = ENDED[kind], f"version {begun.version}: the {kind} was finished"
    else:
        if kind in ("promotion", "renumbering") and begun.version is not None:
            releases.drop(begun.version)
        done = f"version {begun.version}: the {kind} was undone, it had moved nothing"
    releases.journal.append(
        Entry(
            event=event,
            version=version,
            former=begun.former,
            operation=begun.operation,
            detail=f"after a crash: {done}",
        )
    )
    return done


def _refused_champion(releases: Releases) -> int | None:
    """The version that serves although a deployment found that it answers wrongly, and then died."""
    refused: int | None = None
    for entry in releases.journal.entries():
        if entry.event == "not deployed":
            refused = entry.version
        elif entry.event in (
            *("promoted", "deployed", "rolled back", "restored", "withdrawn"),
            *("renumbered", "adopted"),
        ):
            refused = None
    return refused if refused is not None and refused == releases.serving() else None
