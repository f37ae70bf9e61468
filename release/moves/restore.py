"""Go back from a version that should not serve to the last one that may, or to none.

Used when a deployment shows that a version does not answer as it was judged, and when a restart finds
the champion damaged. Does not know how that was found.
"""

from __future__ import annotations

from model.faults import fault
from release.journal import Entry
from release.moves.fetch import ensure_present
from release.moves.move import Move, move
from release.registry.client import RegistryProblem
from release.releases import Releases
from release.served import SERVES_AGAIN
from serving.store.manifest import ReleaseRefused
from serving.store.release_folder import PromotionRefused


def restore(releases: Releases, version: int, reason: str) -> int | None:
    """Take `version` out of service; the version that the pointer names afterwards, None for none.

    If another version was promoted meanwhile, nothing is done. Call it without the lock.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached; the pointer has moved all
            the same, and `release.moves.reconcile` moves the aliases later.
    """
    with releases.locked():
        if releases.serving() != version:
            return releases.serving()
        return restore_locked(releases, version, reason)


def restore_locked(releases: Releases, version: int, reason: str) -> int | None:
    """As `restore`, for whoever holds the lock and knows that the pointer names `version`."""

    def change() -> int | None:
        back = _retreat(releases, version)
        if back is None:
            # Nothing to go back to: without its folder the version can't be loaded again, here or by name.
            releases.drop(version)
            fault("version_dropped")
        return back

    wanted = Move(kind="restore", version=version, begin_detail=reason, end_detail=lambda _: reason)
    return move(releases, wanted, change)


def _retreat(releases: Releases, version: int) -> int | None:
    ways = dict.fromkeys([_left_for(releases, version), *reversed(releases.served())])
    for candidate in ways:
        if candidate is None or candidate == version:
            continue
        try:
            ensure_present(releases.registry, releases.folder, releases.public_key, candidate)
            releases.folder.roll_back(releases.private_key, candidate)
        except (ReleaseRefused, PromotionRefused, RegistryProblem) as error:
            releases.journal.append(Entry(event="refused", version=candidate, detail=str(error)))
        else:
            return candidate
    return None


def _left_for(releases: Releases, version: int) -> int | None:
    """The version that a rollback to `version` left, where the endpoint refused `version` then: the way back
    from a rollback that failed. Otherwise a version that was left is not returned to."""
    left, refused = None, False
    for entry in releases.journal.entries():
        if entry.event == "rolled back":
            left, refused = (entry.former if entry.version == version else None), False
        elif entry.event == "not deployed":
            refused = entry.version == version
        elif entry.event in (*SERVES_AGAIN, "deployed", "withdrawn"):
            left, refused = None, False
    return left if refused else None
