"""Where MLflow keeps runs and versions: a SQLite file under the state folder, unless a server is named.

A SQLite store that is killed while MLflow makes it never opens again, and several processes that make
it at once crash; so it is made in a temporary file, under a lock, and renamed. MLflow writes down where
artifacts lie as absolute paths; where the store was moved or copied since, they are written anew
(`release.registry.relocate`). Does not know what is stored.
"""

from __future__ import annotations

import logging
from pathlib import Path

from model.bundle.masking import holds_secret
from model.errors import HeadgateError
from model.faults import fault
from model.files import locked, replacing_path
from release.databases import database_problem
from release.home import Home
from release.registry.relocate import former_root, relocate
from release.spec import CREDENTIALS

STORE_FILE = "store.sqlite"
SQLITE = "sqlite:///"
"""How the address of a SQLite file begins; a relative path follows, or an absolute one with its slash."""


class StoreProblem(HeadgateError):
    """The local store can't be where it is wanted, or is damaged."""


def absolute_address(configured: str, base: Path) -> str:
    """A tracking URI whose relative SQLite file, if it names one, is looked for in `base`."""
    file = _sqlite_file(configured)
    return configured if file is None or file.is_absolute() else f"{SQLITE}{base.absolute() / file}"


def portable_address(home: Home, configured: str | None) -> str | None:
    """The address as it is kept in the state folder: that of a SQLite file beside or below it is relative to
    the folder that the state folder lies in, which is where `local_store` looks."""
    store, base = local_store(home, configured), home.root.parent.resolve()
    if configured is None or store is None or not store.is_relative_to(base):
        return configured
    return f"{SQLITE}{store.relative_to(base)}"


class SecretInAddress(HeadgateError):
    """The registry's address holds a password or token; it would be kept with every run and version."""

    kind = "usage"


def tracking_uri(home: Home, configured: str | None = None) -> str:
    """The URI of the registry: the one that is configured, or the local store, made if need be.

    Raises:
        SecretInAddress: the configured one holds a password or token.
        StoreProblem: the store's path can't be part of a URI, its folder is not there, or it is damaged.
        OSError: the store can't be made, because the disk is full or not writable.
    """
    if configured is not None and holds_secret(configured):
        raise SecretInAddress(f"registry {configured}: holds a password or token; {CREDENTIALS}")
    store = local_store(home, configured)
    if store is None:
        return str(configured)
    uri = _uri(store)
    if not store.parent.is_dir():
        raise StoreProblem(f"registry.tracking_uri: {uri}: there is no such folder; make it, or correct this")
    if problem := database_problem(store):
        raise StoreProblem(
            f"registry {store}: MLflow's database is damaged ({problem}). Restore it from a backup; without "
            f"one, `mv {store} {store}.damaged` begins a new registry: what serves goes on serving, and the "
            "next `headgate retrain` says what to do about it"
        )
    if not store.exists():
        with locked(_lock(store)):
            if not store.exists():
                _make(store, _artifact_root(home, configured, store))
    return uri


def relocated(home: Home, configured: str | None = None) -> str:
    """Have a local store that was moved or copied here name its artifacts where they lie now; what was done,
    in one sentence, or nothing.

    Raises:
        OSError: the store can't be written.
    """
    store = local_store(home, configured)
    if store is None or not store.exists():
        return ""
    root = _artifact_root(home, configured, store)
    if former_root(store, root) is None:
        return ""
    with locked(_lock(store)):
        former = former_root(store, root)
        if former is None:
            return ""  # another process was faster
        changed = relocate(store, former, root)
    places = f"in {store.parent} now, before in {former.parent}"
    return f"the registry lies {places}: {changed} paths in it were changed"


def artifact_location(home: Home, configured: str | None, experiment: str) -> str | None:
    """Folder of the artifacts of a new experiment; None where a server decides."""
    store = local_store(home, configured)
    return None if store is None else str(_artifact_root(home, configured, store) / experiment)


def local_store(home: Home, configured: str | None) -> Path | None:
    """File of a SQLite store, there or not; None where the address is another one.

    A relative file is looked for beside the state folder, never in the folder that a command is started in.
    """
    if configured is None:
        return home.mlflow.resolve() / STORE_FILE
    file = _sqlite_file(configured)
    return None if file is None else (home.root.parent / file).resolve()


def _sqlite_file(address: str) -> Path | None:
    file = address.removeprefix(SQLITE)
    plain = address.startswith(SQLITE) and file and not file.startswith(":") and "?" not in file
    return Path(file) if plain else None


def _artifact_root(home: Home, configured: str | None, store: Path) -> Path:
    if configured is None:
        return home.mlflow.resolve() / "artifacts"
    return store.with_name(f"{store.name}.artifacts")


def _lock(store: Path) -> Path:
    return store.parent / (".lock" if store.name == STORE_FILE else f".{store.name}-lock")


def _uri(store: Path) -> str:
    path = str(store)
    if "?" in path or "#" in path:
        raise StoreProblem(
            f"registry {path}: its path holds '?' or '#', which a database URI cannot; choose another state "
            "folder with --home, or another file"
        )
    return f"{SQLITE}{path}"


def _make(store: Path, artifact_root: Path) -> None:
    """Call it under the lock: then whatever unfinished store there is was left by a process that died."""
    for left in store.parent.glob(f".{store.name}.*"):
        left.unlink()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # MLflow logs each of its sixty migrations.
    talkative = logging.getLogger("mlflow.store.db.utils")
    level = talkative.level
    talkative.setLevel(logging.WARNING)
    try:
        with replacing_path(store) as temporary:
            made = SqlAlchemyStore(_uri(temporary), str(artifact_root))  # type: ignore[no-untyped-call]
            made.engine.dispose()
            SqlAlchemyStore._engine_map.pop(made.db_uri, None)
            fault("store_written")
    finally:
        talkative.setLevel(level)
    fault("store_made")
