"""What is wrong with a SQLite file that a library keeps in the state folder, asked before it is opened.

On a damaged one the libraries end in tracebacks, and Prefect starts its server again for ever. A large one is
looked through only for a while: what lies further on is found by whoever reads it. Does not know tables.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import urllib.parse
from pathlib import Path

WAIT_S = 5.0
"""Longest wait for a database that another process writes, in seconds."""


LOOK_S = 0.25
"""How long it is looked for damage, in seconds; enough for some 200 MB that are in memory."""


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
            tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            # Not SQLite's progress handler: older versions of it do not ask that within a check.
            over = threading.Timer(LOOK_S, database.interrupt)
            over.start()
            try:
                found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            finally:
                over.cancel()
                over.join()
    except sqlite3.OperationalError as error:
        # In use is not damaged, and what was looked through in time was sound.
        return "" if str(error) == "interrupted" or "locked" in str(error) else str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    if found != "ok":
        return str(found).replace("\n", " ")
    return "" if tables else "empty"
