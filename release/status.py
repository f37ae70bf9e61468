"""What serves and how it came about, read from disk and from the endpoint itself.

Reads the verified release folder, the journal and the endpoint; asks no registry, so that it answers at
once and with the registry down.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.errors import HeadgateError
from release.bake.record import read_bake, said_bake
from release.home import Home
from release.journal import Entry, Journal
from release.keys import public_key as public_key_of
from release.pointed import last_pointer
from release.saved_settings import load_settings, state_file
from release.served import served_versions, way_back, withdrawn_versions
from serving import client
from serving.process import control as process
from serving.spec import ENDPOINT
from serving.store.manifest import ReleaseRefused, verify_release
from serving.store.override import OverrideProblem
from serving.store.pointer import PointerBroken
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import PUBLIC_KEY

MOST_ENTRIES = 20
"""Journal entries shown of a project, the last ones."""


def read_status(root: Path, name: str | None = None, *, where: str = "") -> dict[str, Any]:
    """One entry a project: champion, previous, waiting, endpoint, history (newest last), and `damage`: what
    of it can't be read, and what to do. The rest is shown all the same.

    Args:
        root: the state folder.
        name: project; all of them by default.
        where: ` --home …`, where commands would not find the state folder by themselves; ends every command
            that is named.
    """
    home = Home(root)
    places = [
        *home.journal.glob("*.jsonl"),
        *home.projects.glob("*.json"),
        *home.endings.glob("*.json"),  # of a project whose data never passed
        *home.schedules.glob("*.json"),  # of one that has not run yet
    ]
    known = sorted({path.stem for path in places if "." not in path.stem})
    names = [name] if name is not None else known
    return {"home": str(root), "projects": [_project(home, one, where) for one in names]}


def _project(home: Home, name: str, where: str) -> dict[str, Any]:
    folder, damage = ReleaseFolder(home.releases(name), name), list[str]()
    with _noted(damage):
        load_settings(home, name)
    public_key = public_key_of(home, name) if not damage else home.keys / PUBLIC_KEY
    entries = list[Entry]()
    with _noted(damage):
        entries = Journal(home.journal / f"{name}.jsonl").entries()
    pointer, champion, before, readable = None, None, None, len(damage)
    with _noted(damage):
        pointer = last_pointer(home, folder, public_key)
        if pointer is not None:
            folder.pointer(public_key)  # damaged it is written again by the next run: said, not hidden
    shown = "UNKNOWN: see what is damaged" if pointer is None and len(damage) > readable else None
    if pointer is not None and pointer.version not in withdrawn_versions(entries):
        champion = pointer.version
        before = way_back(served_versions(folder, public_key, entries), champion)
    endpoint: dict[str, Any] = {"running": False, "says": "not known"}
    with _noted(damage):
        endpoint = _endpoint(home, name, where)
    undecided = _undecided(name, entries, 0 if pointer is None else pointer.approval, where)
    watch = None
    with _noted(damage):
        watch = None if (kept := read_bake(home, name)) is None else said_bake(kept)
    return {
        "name": name,
        "serving": None if champion is None else _fields(folder, champion, public_key),
        "champion": _champion(folder, champion, public_key, before, where) if champion else shown,
        "previous": None if before is None else _release(folder, before, public_key)[0],
        "former": None if before is None else _fields(folder, before, public_key),
        "undecided": undecided,
        "waiting": None if undecided is None else _waiting(undecided),
        "watch": watch,
        "endpoint": endpoint,
        "damage": list(dict.fromkeys(damage)),
        "history": [
            {
                "at": entry.at,
                "event": entry.event,
                "version": entry.version or "",
                "detail": entry.detail,
                "by": entry.by,
            }
            for entry in entries[-MOST_ENTRIES:]
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


def _champion(folder: ReleaseFolder, version: int, public_key: Path, before: int | None, where: str) -> str:
    """The champion in words, with what to do where it may not serve."""
    text, refusal = _release(folder, version, public_key)
    if refusal is None:
        return text
    name = folder.name
    if not isinstance(refusal.__cause__, OverrideProblem):
        again = f"`headgate rollback {name} --to {version}{where}`"
        return f"{text} (a damaged copy is fetched again by {again})"
    advice = f'`headgate promote {name} {version} --override "why"{where}` renews it'
    if before is not None:
        advice += f"; `headgate rollback {name}{where}` makes version {before} the champion"
    return f"{text} ({advice})"


def _fields(folder: ReleaseFolder, version: int, public_key: Path) -> dict[str, Any]:
    """A version as fields, verified anew, for programs."""
    try:
        manifest = verify_release(folder.version_dir(version), public_key, folder.name)
    except ReleaseRefused as error:
        return {"version": version, "may_serve": False, "refused": str(error)}
    override = manifest.override
    return {
        "version": version,
        "may_serve": True,
        "verdict": manifest.outcome,
        "approved": manifest.created,
        "bundle_sha256": manifest.bundle_sha256,
        "override": None
        if override is None
        else {"by": override.by, "reason": override.reason, "expires": override.expires},
    }


def _release(folder: ReleaseFolder, version: int, public_key: Path) -> tuple[str, ReleaseRefused | None]:
    """A version in words, verified anew; and why it may not serve."""
    try:
        manifest = verify_release(folder.version_dir(version), public_key, folder.name)
    except ReleaseRefused as error:
        return f"version {version}: REFUSED: {error}", error
    bundle = manifest.bundle_sha256[:12]
    if (override := manifest.override) is not None:
        return (
            f"version {version}, verdict {manifest.outcome}, BY OVERRIDE of {override.by} until "
            f"{override.expires}: {override.reason}; bundle {bundle}…, signature good"
        ), None
    return f"version {version}, approved {manifest.created}, bundle {bundle}…, signature good", None


def _undecided(name: str, entries: Sequence[Entry], approval: int, where: str) -> dict[str, Any] | None:
    """The newest version that is registered and could not be decided, with the commands that judge it again
    or let it serve; None where there is none, or a later one was promoted."""
    verdicts = {
        entry.version: entry.detail.removeprefix("verdict: ").partition(",")[0]
        for entry in entries
        if entry.event in ("registered", "judged again") and entry.version is not None
    }
    newest = max(verdicts, default=0)
    if newest <= approval or verdicts[newest] != "inconclusive":
        return None
    return {
        "version": newest,
        "judge": f"headgate judge {name} {newest}{where}",
        "override": f'headgate promote {name} {newest} --override "why" --expires 7d{where}',
    }


def _waiting(undecided: Mapping[str, Any]) -> str:
    return (
        f"version {undecided['version']} was not decided: `{undecided['judge']}` judges it again, "
        f"`{undecided['override']}` lets it serve for a while"
    )


def _endpoint(home: Home, name: str, where: str) -> dict[str, Any]:
    running, target = process.status(state_file(home, name)), load_settings(home, name).deploy.target
    if target != ENDPOINT:
        return {"running": False, "target": target, "says": f"none here; deployed to the target {target}"}
    if running is None:
        return {"running": False, "says": f"not running; start it with: headgate serve {name}{where}"}
    try:
        code, ready = client.get(running.url, "/ready", timeout_s=3)
    except client.NoAnswer as error:
        return {
            "running": True,
            "url": running.url,
            "pid": running.pid,
            "ready": False,
            "version": None,
            "says": f"process {running.pid} does not answer: {error}",
        }
    text = f"serves version {ready.get('version')} at {running.url} (process {running.pid})"
    if code != 200:
        text = f"not ready at {running.url}: {ready.get('reason', 'no reason given')}"
    elif ready.get("refused"):
        text += f"; refused version {ready['refused'].get('version')}: {ready['refused'].get('reason')}"
    known = {"pid": running.pid, "ready": code == 200, "version": ready.get("version")}
    return {"running": True, "url": running.url, **known, "says": text}
