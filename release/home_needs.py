"""What a state folder has to be able to do, tried before anything else is done there.

A folder that can't be written, or a file system without locks, would end a run in the middle, or let two runs
write at once. Hard links are not needed. Does not know what is kept there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from model.errors import HeadgateError
from model.files import unfinished_path, write_bytes
from release.home import HOME_MODE, Home


class HomeUnusable(HeadgateError):
    """The state folder can't be what it has to be; the message says what failed and what to do."""

    kind = "usage"


def refuse_unusable(home: Home) -> None:
    """Return if files can be written, exchanged and locked in the state folder, and a database kept there.

    Raises:
        HomeUnusable: one of these fails.
    """
    root = home.root
    with _tried(root, "be made"):
        root.mkdir(mode=HOME_MODE, parents=True, exist_ok=True)
    trial = unfinished_path(root / "trial")
    try:
        with _tried(root, "be written"):
            trial.mkdir(mode=HOME_MODE)
            write_bytes(trial / "file", b"1")
            write_bytes(trial / "file", b"2")
        with _tried(root, "lock a file"):
            _lock(trial / "file")
        with _tried(root, "keep a SQLite database"):
            _keep_database(trial / "database")
    finally:
        shutil.rmtree(trial, ignore_errors=True)


@contextlib.contextmanager
def _tried(root: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise HomeUnusable(
            f"state folder {root}: it can't {what} ({why}). Make it writable, on a file system with locks, "
            "or choose another with --home FOLDER or HEADGATE_HOME"
        ) from error


def _lock(path: Path) -> None:
    """Lock a file that nobody else knows in the two ways that are used: ours, and SQLite's."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


def _keep_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=wal")  # as Prefect keeps its own
        connection.execute("CREATE TABLE trial (a INTEGER)")
        connection.execute("INSERT INTO trial VALUES (1)")
        connection.commit()
    finally:
        connection.close()
