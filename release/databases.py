"""What is wrong with a SQLite file that a library keeps in the state folder, asked before it is opened.

On a damaged one the libraries end in tracebacks, and Prefect starts its server again for ever. Does not know
tables.
"""

from __future__ import annotations

import contextlib
import sqlite3
import urllib.parse
from pathlib import Path

WAIT_S = 5.0
"""Longest wait for a database that another process writes, in seconds."""


def database_problem(path: Path) -> str:
    """Why the database can't be used, in a few words; empty where it can, or there is none yet."""
    if path.is_symlink() and not path.exists():
        return "a link to nothing"
    if not path.exists():
        return ""
    if not path.is_file():
        return "not a file"
    uri = f"file:{urllib.parse.quote(str(path))}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=WAIT_S)) as database:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.OperationalError as error:
        return "" if "locked" in str(error) else str(error)  # in use is not damaged
    except sqlite3.DatabaseError as error:
        return str(error)
    if found != "ok":
        return str(found).replace("\n", " ")
    return "" if tables else "empty"
