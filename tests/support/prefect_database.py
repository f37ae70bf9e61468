"""Print the empty database of the installed Prefect as SQL, made by its own migrations.

python -m tests.support.prefect_database > flows/server/empty.sql
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path


def made_by_prefect(folder: Path) -> str:
    """The database that Prefect makes in a folder."""
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    places = {"PREFECT_HOME": str(folder), "HOME": str(folder)}
    subprocess.run(command, env={**os.environ, **places}, check=True, capture_output=True, timeout=200)
    return dumped(folder / "prefect.db")


def dumped(database: Path) -> str:
    """All of a database as SQL."""
    with contextlib.closing(sqlite3.connect(database)) as opened:
        return "\n".join(opened.iterdump()) + "\n"


def content(dump: str) -> list[list[str]]:
    """What a dump says: its statements and their lines. Those of a table stand in another order each time."""
    return sorted(sorted(line.strip(" \t,") for line in one.splitlines()) for one in dump.split(";\n"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        print(made_by_prefect(Path(home)), end="")
