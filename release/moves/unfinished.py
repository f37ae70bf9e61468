"""Finish or undo what the journal says was begun and never ended, because its process died.

Whoever takes the lock of a project's releases to move something settles first, so that nobody builds on
half a move. Does not look for other damage (`release.moves.reconcile`).
"""

from __future__ import annotations

from release.journal import Entry, Event
from release.moves.restore import restore_locked
from release.releases import Releases

BEGUN: dict[Event, Event] = {
    "promotion begun": "promoted",
    "rollback begun": "rolled back",
    "restore begun": "restored",
}
"""Entry that opens an operation → the one that ends it."""


def settle(releases: Releases) -> list[str]:
    """Bring every operation to its end, by whether the pointer had moved; one sentence each.

    Call it with the lock held: then nobody else can be in the middle of one.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    entries = releases.journal.entries()
    ended = {entry.operation for entry in entries if entry.event not in BEGUN}
    done = [_end(releases, e) for e in entries if e.event in BEGUN and e.operation not in ended]
    refused = _refused_champion(releases)
    if refused is not None:
        back = restore_locked(releases, refused, "the endpoint did not answer as it was judged")
        done.append(f"version {refused}, which the endpoint refused, went; version {back or 'none'} serves")
    return done


def _end(releases: Releases, begun: Entry) -> str:
    pointer = releases.pointer()
    moved = pointer is not None and pointer.version == begun.version
    version: int | None = begun.version
    if begun.event == "restore begun":
        # Begun because the version must not serve: if the pointer still names it, it goes now.
        if releases.serving() == begun.version and begun.version is not None:
            restore_locked(releases, begun.version, begun.detail)
        releases.align()
        version = releases.serving()
        event: Event = "restored" if version is not None else "withdrawn"
        version = version or begun.version
        said = f"the restoration from version {begun.version} was finished"
    elif moved:
        releases.align()
        event, said = BEGUN[begun.event], f"version {begun.version}: finished what was begun"
    else:
        if begun.event == "promotion begun" and begun.version is not None:
            releases.drop(begun.version)
        event, said = "undone", f"version {begun.version}: nothing had moved yet"
    releases.journal.append(
        Entry(
            event=event,
            version=version,
            former=begun.former,
            operation=begun.operation,
            detail=f"after a crash: {said}",
        )
    )
    return said


def _refused_champion(releases: Releases) -> int | None:
    """The version that serves although a deployment found that it answers wrongly, and then died."""
    refused: int | None = None
    for entry in releases.journal.entries():
        if entry.event == "not deployed":
            refused = entry.version
        elif entry.event in ("promoted", "deployed", "rolled back", "restored", "withdrawn"):
            refused = None
    return refused if refused is not None and refused == releases.serving() else None
