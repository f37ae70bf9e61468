"""An empty database of Prefect, as its own migrations leave it, written at once.

Prefect makes one by going through every revision that its tables ever had, which takes longer than the rest
of its server's start. `empty.sql` is what comes of it for the pinned version; Prefect finds its newest
revision in it and has nothing left to do. A test has Prefect make one and compares; when the pin moves:

    python -m tests.support.prefect_database > flows/server/empty.sql

Does not start servers.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

SCHEMA = Path(__file__).with_name("empty.sql")
VERSION = "3.8.8"
"""Of Prefect: whose tables these are."""
OTHER_PLACES = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")
"""Variables that name another database."""


def begin_database(database: Path, environment: Mapping[str, str] = os.environ) -> bool:
    """Make it; whether that was done. It is left to Prefect where there is one, where another is named, for
    another version of Prefect, and where it can't be written or linked: Prefect says why."""
    if any(environment.get(name) for name in OTHER_PLACES) or version("prefect") != VERSION:
        return False
    with contextlib.suppress(OSError, sqlite3.Error):
        if database.exists():
            return False
        database.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=database.parent) as folder:
            made = Path(folder, database.name)
            with contextlib.closing(sqlite3.connect(made)) as opened:
                opened.execute("PRAGMA journal_mode=WAL")  # as Prefect has it
                opened.executescript(SCHEMA.read_text(encoding="utf-8"))
            os.link(made, database)  # never over one that another process has begun meanwhile
            return True
    return False
