"""Keep a release folder equal to the registry's champion, on this machine or on a replica's.

A process of its own, so that the endpoint never talks to the registry:

    headgate follow quickstart --home .headgate --interval 5

An alias alone is not followed, because any client may set one: the version must be named by a signed
pointer and carry a signed release. Needs the public key only. With the registry down the folder stays
as it is, and the endpoint goes on serving from it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from model.faults import fault
from model.files import locked, write_bytes, write_json
from release.home import Home
from release.keys import public_key as public_key_of
from release.leftovers import remove_leftovers
from release.moves.fetch import ensure_present
from release.registry.client import Registry, RegistryProblem, open_registry
from release.saved_settings import load_settings
from release.spec import RegistrySpec
from serving.store.manifest import ReleaseRefused
from serving.store.pointer import Pointer, PointerBroken, parse_pointer
from serving.store.release_folder import ReleaseFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look at the registry came to."""

    state: Literal["current", "followed", "nothing", "refused", "unreachable"]
    """`current`: the folder was equal already. `nothing`: no champion yet. `refused`: what the alias
    names is not approved. `unreachable`: the registry did not answer."""
    version: int | None
    """Version that the alias names, where it could be read."""
    reason: str = ""
    """Why it was not followed."""
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """When: ISO 8601, UTC."""


def sync_once(registry: Registry, folder: ReleaseFolder, public_key: Path) -> Seen:
    """Look at the registry once and make the release folder equal to its champion.

    How long it may take follows from `MLFLOW_HTTP_REQUEST_TIMEOUT` and `…_MAX_RETRIES`, which
    `release.home.environment` sets small.
    """
    try:
        pointed = registry.pointed()
    except RegistryProblem as error:
        return Seen(state="unreachable", version=None, reason=str(error))
    champion = pointed.aliases.get(registry.spec.champion) if pointed is not None else None
    if pointed is None or champion is None:
        return Seen(state="nothing", version=None)
    try:
        pointer = _signed_pointer(pointed.pointer, public_key, folder)
        if pointer.version != champion:
            raise PointerBroken(
                f"the alias {registry.spec.champion!r} names version {champion}, but the last signed "
                f"pointer names version {pointer.version}: the alias was moved by hand, or is moving now"
            )
        here = next(iter(folder.pointers(public_key)), None)
        if here is not None and here.sequence > pointer.sequence:
            raise PointerBroken(
                f"the registry's pointer (sequence {pointer.sequence}) is older than the one here "
                f"({here.sequence}): it was put back, or a promotion is under way"
            )
        ensure_present(registry, folder, public_key, champion)
        moved = _follow(folder, public_key, pointer, pointed.pointer or "")
    except (PointerBroken, ReleaseRefused) as error:
        return Seen(state="refused", version=champion, reason=str(error))
    except RegistryProblem as error:
        return Seen(state="unreachable", version=champion, reason=str(error))
    return Seen(state="followed" if moved else "current", version=champion)


def _signed_pointer(text: str | None, public_key: Path, folder: ReleaseFolder) -> Pointer:
    if text is None:
        raise PointerBroken("the registry holds no signed pointer: the alias was set by hand")
    return parse_pointer(text, public_key, folder.name)


def _follow(folder: ReleaseFolder, public_key: Path, pointer: Pointer, text: str) -> bool:
    """Write the pointer as it was signed; whether it was not there before."""
    with locked(folder.path / ".lock"):
        here = next(iter(folder.pointers(public_key)), None)
        if here is not None and here.sequence > pointer.sequence:
            return False  # promoted here meanwhile
        try:
            if folder.pointer(public_key) == pointer:
                return False
        except PointerBroken:
            pass  # damaged: written again below
        write_bytes(folder.pointer_path, text.encode())
        folder.history_path.mkdir(exist_ok=True)
        write_bytes(folder.history_path / f"{pointer.sequence:08d}", text.encode())
        fault("pointer_followed")
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowJob:
    """Whom to follow, and where to."""

    home: Home
    """State folder with the release folder."""
    name: str
    """Project whose champion is followed."""
    registry: RegistrySpec
    public_key: Path | None = None
    """Key that releases must be signed with. None: the project's own."""
    interval_s: float = 5.0
    """Seconds between looks."""


def follow(job: FollowJob, stop: threading.Event, report: Callable[[Seen], None]) -> Seen:
    """Follow until `stop` is set; what was seen last. With `stop` set already, look once.

    Args:
        report: gets what was seen, whenever it is something else than before.
    """
    registry = open_registry(job.home, job.name, job.registry)
    folder = ReleaseFolder(job.home.releases(job.name), job.name)
    folder.versions_path.mkdir(parents=True, exist_ok=True)
    remove_leftovers(job.home)
    public_key = job.public_key or public_key_of(job.home, job.name)
    before: tuple[str, int | None, str] | None = None
    while True:
        seen = sync_once(registry, folder, public_key)
        write_json(job.home.followers / f"{job.name}.json", {**asdict(seen), "pid": os.getpid()})
        fault("follower_reported")
        if (seen.state, seen.version, seen.reason) != before:
            before = (seen.state, seen.version, seen.reason)
            report(seen)
        if stop.wait(job.interval_s):
            return seen


def followed_registry(home: Home, name: str, tracking_uri: str | None, model: str | None) -> RegistrySpec:
    """The registry of the last deployment of `name` here, with what is given in its place."""
    spec = load_settings(home, name).registry
    return replace(
        spec, tracking_uri=tracking_uri or spec.tracking_uri, model=model or spec.model, experiment=None
    )
