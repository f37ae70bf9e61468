"""What serves and how it came about, read from disk and from the endpoint itself.

Reads the verified release folder, the journal and the endpoint; asks no registry, so that it answers at
once and with the registry down.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.errors import HeadgateError
from release.home import Home
from release.journal import Entry, Journal
from release.keys import public_key as public_key_of
from release.saved_settings import load_settings, state_file
from serving import client
from serving.process import control as process
from serving.spec import ENDPOINT
from serving.store.manifest import ReleaseRefused, verify_release
from serving.store.pointer import PointerBroken
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import PUBLIC_KEY

MOST_ENTRIES = 20
"""Journal entries shown of a project, the last ones."""


def read_status(root: Path, name: str | None = None) -> dict[str, Any]:
    """One entry a project: champion, previous, endpoint, history (newest last), and `damage`: what of it
    can't be read, and what to do. The rest is shown all the same."""
    home = Home(root)
    places = [*home.journal.glob("*.jsonl"), *home.projects.glob("*.json")]
    known = sorted({path.stem for path in places})
    names = [name] if name is not None else known
    return {"home": str(root), "projects": [_project(home, one) for one in names]}


def _project(home: Home, name: str) -> dict[str, Any]:
    folder, damage = ReleaseFolder(home.releases(name), name), list[str]()
    with _noted(damage):
        load_settings(home, name)
    public_key = public_key_of(home, name) if not damage else home.keys / PUBLIC_KEY
    pointer, history = None, list[Entry]()
    with _noted(damage):
        if public_key.is_file() and folder.path.is_dir():
            pointer = folder.latest_pointer(public_key)
            folder.pointer(public_key)
    with _noted(damage):
        history = Journal(home.journal / f"{name}.jsonl").entries()[-MOST_ENTRIES:]
    endpoint: dict[str, Any] = {"running": False, "says": "not known"}
    with _noted(damage):
        endpoint = _endpoint(home, name)
    return {
        "name": name,
        "champion": _champion(folder, pointer.version, public_key) if pointer else None,
        "previous": _release(folder, pointer.previous, public_key) if pointer and pointer.previous else None,
        "endpoint": endpoint,
        "damage": list(dict.fromkeys(damage)),
        "history": [
            {"at": entry.at, "event": entry.event, "version": entry.version or "", "detail": entry.detail}
            for entry in history
        ],
    }


@contextlib.contextmanager
def _noted(damage: list[str]) -> Iterator[None]:
    """Where something can't be read, its message joins `damage`, and the block ends."""
    try:
        yield
    except PointerBroken as error:  # its message holds no place
        damage.append(f"the pointer: {error}; run `headgate retrain CONFIG`, which writes it again")
    except (HeadgateError, OSError) as error:
        damage.append(str(error))


def _champion(folder: ReleaseFolder, version: int, public_key: Path) -> str:
    """The champion in words, with what to do where its copy is damaged."""
    text = _release(folder, version, public_key)
    if not text.startswith(f"version {version}: REFUSED"):
        return text
    return f"{text} (a damaged copy is fetched again by `headgate rollback {folder.name} --to {version}`)"


def _release(folder: ReleaseFolder, version: int, public_key: Path) -> str:
    """A version in words, verified anew."""
    try:
        manifest = verify_release(folder.version_dir(version), public_key, folder.name)
    except ReleaseRefused as error:
        return f"version {version}: REFUSED: {error}"
    bundle = manifest.bundle_sha256[:12]
    if (override := manifest.override) is not None:
        return (
            f"version {version}, verdict {manifest.outcome}, BY OVERRIDE of {override.by} until "
            f"{override.expires}: {override.reason}; bundle {bundle}…, signature good"
        )
    return f"version {version}, approved {manifest.created}, bundle {bundle}…, signature good"


def _endpoint(home: Home, name: str) -> dict[str, Any]:
    running, target = process.status(state_file(home, name)), load_settings(home, name).deploy.target
    if target != ENDPOINT:
        return {"running": False, "says": f"none here; deployed to the target {target}"}
    if running is None:
        return {"running": False, "says": f"not running; start it with: headgate serve {name}"}
    try:
        code, ready = client.get(running.url, "/ready", timeout_s=3)
    except client.NoAnswer as error:
        return {
            "running": True,
            "url": running.url,
            "says": f"process {running.pid} does not answer: {error}",
        }
    text = f"serves version {ready.get('version')} at {running.url} (process {running.pid})"
    if code != 200:
        text = f"not ready at {running.url}: {ready.get('reason', 'no reason given')}"
    elif ready.get("refused"):
        text += f"; refused version {ready['refused'].get('version')}: {ready['refused'].get('reason')}"
    return {"running": True, "url": running.url, "says": text}
