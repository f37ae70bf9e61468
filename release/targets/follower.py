"""Keep a release folder equal to the registry's champion, on this machine or on a replica's.

A process of its own, so that the endpoint never talks to the registry:

    python -m release.targets.follower quickstart --home .headgate --interval 5

An alias alone is not followed, because any client may set one: the version must be named by a signed
pointer and carry a signed release. Needs the public key only. With the registry down the folder stays
as it is, and the endpoint goes on serving from it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from model.faults import fault
from model.files import locked, write_bytes
from release.home import Home, environment
from release.keys import public_key as public_key_of
from release.leftovers import remove_debris
from release.moves.fetch import ensure_present
from release.registry.client import Registry, RegistryProblem
from release.registry.store import tracking_uri
from release.settings import load_settings
from release.spec import RegistrySpec
from serving.store.manifest import ReleaseRefused
from serving.store.pointer import Pointer, PointerBroken, read_pointer
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
        here = folder.latest_pointer(public_key)
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
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "pointer"
        path.write_text(text)
        pointer = read_pointer(path, public_key, folder.name)
    if pointer is None:
        raise PointerBroken("the registry's pointer is empty")
    return pointer


def _follow(folder: ReleaseFolder, public_key: Path, pointer: Pointer, text: str) -> bool:
    """Write the pointer as it was signed; whether it was not there before."""
    with locked(folder.path / ".lock"):
        here = folder.latest_pointer(public_key)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Follow until SIGTERM or SIGINT; with `--once`, look once and exit 0 if the folder is equal."""
    options = _parser().parse_args(arguments)
    home = Home(options.home.resolve())
    os.environ.update({k: v for k, v in environment(home).items() if k not in os.environ})
    spec = _spec(options, home)
    registry = Registry(tracking_uri(home, spec.tracking_uri), spec.model or options.name, spec)
    folder = ReleaseFolder(home.releases(options.name), options.name)
    folder.versions_path.mkdir(parents=True, exist_ok=True)
    remove_debris(home)
    public_key = options.public_key or public_key_of(home, options.name)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    told: tuple[str, int | None, str] | None = None
    while True:
        seen = sync_once(registry, folder, public_key)
        write_bytes(
            home.followers / f"{options.name}.json", json.dumps({**asdict(seen), "pid": os.getpid()}).encode()
        )
        fault("follower_told")
        if (seen.state, seen.version, seen.reason) != told:
            told = (seen.state, seen.version, seen.reason)
            print(json.dumps(asdict(seen)), flush=True)
        if options.once:
            return 0 if seen.state in ("current", "followed") else 1
        if stop.wait(options.interval):
            return 0


def _spec(options: argparse.Namespace, home: Home) -> RegistrySpec:
    spec = load_settings(home, options.name).registry
    return RegistrySpec(
        tracking_uri=options.tracking_uri or spec.tracking_uri,
        model=options.model or spec.model,
        champion=spec.champion,
        previous=spec.previous,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m release.targets.follower", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("name", help="project whose champion is followed")
    parser.add_argument("--home", type=Path, required=True, help="state folder with the release folder")
    parser.add_argument("--tracking-uri", help="registry (default: the one of the last deployment here)")
    parser.add_argument("--model", help="registered model (default: the project's name)")
    parser.add_argument("--public-key", type=Path, help="key that releases must be signed with (PEM)")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between looks")
    parser.add_argument("--once", action="store_true", help="look once; exit 0 if the folder is equal")
    return parser


if __name__ == "__main__":
    sys.exit(main())
