"""Where MLflow keeps runs and versions: a SQLite file under the state folder, unless a server is named.

A SQLite store that is killed while MLflow makes it never opens again, and several processes that make
it at once crash; so it is made in a temporary file, under a lock, and renamed. Does not know what is
stored.
"""

from __future__ import annotations

import logging
from pathlib import Path

from model.bundle.masking import holds_secret
from model.errors import HeadgateError
from model.faults import fault
from model.files import locked, replacing_path
from release.home import Home
from release.spec import CREDENTIALS

STORE_FILE = "store.sqlite"


class StoreProblem(HeadgateError):
    """The local store can't be where it is wanted."""


class SecretInAddress(HeadgateError):
    """The registry's address holds a password or token; it would be kept with every run and version."""

    kind = "usage"


def tracking_uri(home: Home, configured: str | None = None) -> str:
    """The URI of the registry: the one that is configured, or the local store, made if need be.

    Raises:
        SecretInAddress: the configured one holds a password or token.
        StoreProblem: the state folder's path can't be part of a URI.
        OSError: the store can't be made, because the disk is full or not writable.
    """
    if configured is not None:
        if holds_secret(configured):
            raise SecretInAddress(f"registry {configured}: holds a password or token; {CREDENTIALS}")
        return configured
    store = home.mlflow / STORE_FILE
    if not store.exists():
        with locked(home.mlflow / ".lock"):
            if not store.exists():
                _make(store, artifacts(home))
    return _uri(store)


def artifacts(home: Home) -> Path:
    """Folder of the local store's artifacts."""
    return home.mlflow.resolve() / "artifacts"


def _uri(store: Path) -> str:
    path = str(store.resolve())
    if "?" in path or "#" in path:
        raise StoreProblem(
            f"state folder {store.parent.parent}: its path holds '?' or '#', which a database URI cannot; "
            "choose another folder with --home"
        )
    return f"sqlite:///{path}"


def _make(store: Path, artifact_root: Path) -> None:
    """Call it under the lock: then whatever unfinished store there is was left by a process that died."""
    for left in store.parent.glob(f".{STORE_FILE}.*"):
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
