"""Have a SQLite store of MLflow name its artifacts where they lie now, after it was moved or copied.

MLflow keeps absolute paths: without this, whoever works on a copy writes into the original. Where the store
was before follows from its own records, so that stores of older versions are found out, too. Does not move
any file.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""(Table, column) with the place of an artifact."""
PATIENCE_S = 60.0
"""How long is waited for another process that writes to the store, in seconds."""


def former_root(store: Path, root: Path) -> Path | None:
    """The folder, other than `root`, that was the store's own for artifacts when it was made; None where it
    lies where it was.

    Follows from its first experiment, which is made with the store. A store that can't be read, or that keeps
    its artifacts elsewhere, was not moved: whoever uses it finds out what is wrong.
    """
    with contextlib.suppress(sqlite3.Error), _opened(store, "ro") as connection:
        first = connection.execute(
            "SELECT artifact_location FROM experiments ORDER BY experiment_id LIMIT 1"
        ).fetchone()
        found = None if first is None else _root_of(str(first[0]), root)
        return None if found == root else found
    return None


def relocate(store: Path, former: Path, root: Path) -> int:
    """Replace `former` by `root` at the beginning of every place, all or none; how many were changed.

    Raises:
        OSError: the store can't be written.
    """
    changed = 0
    try:
        with _opened(store, "rw") as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            for table, column in PLACES:
                for old, new in ((str(former), str(root)), (former.as_uri(), root.as_uri())):
                    done = connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                        f"WHERE substr({column}, 1, ?) = ?",
                        (new, len(old) + 1, len(old) + 1, f"{old}/"),
                    )
                    changed += done.rowcount
    except sqlite3.Error as error:
        raise OSError(
            f"registry {store}: it was moved or copied here, and its records could not be changed ({error})"
        ) from error
    return changed


def _root_of(location: str, root: Path) -> Path | None:
    """The part of a place up to the names of `root`; None where they are not in it."""
    path = location.removeprefix("file://")
    marker = f"/{root.parent.name}/{root.name}/" if root.name == "artifacts" else f"/{root.name}/"
    at = path.rfind(marker)
    return Path(path[: at + len(marker) - 1]) if at >= 0 and path.startswith("/") else None


@contextlib.contextmanager
def _opened(store: Path, mode: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(
        f"file:{quote(str(store))}?mode={mode}", uri=True, timeout=PATIENCE_S, isolation_level=None
    )
    try:
        yield connection
    finally:
        connection.close()
