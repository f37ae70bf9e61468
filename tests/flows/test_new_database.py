"""A new state folder gets Prefect's empty database at once, and it is the one that Prefect would make."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from flows.server import new_database
from flows.server.new_database import SCHEMA, begin_database
from tests.support.prefect_database import content, dumped, made_by_prefect

NOWHERE: dict[str, str] = {}


def test_it_is_what_prefects_own_migrations_make(tmp_path: Path) -> None:
    kept = SCHEMA.read_text(encoding="utf-8")
    how = "python -m tests.support.prefect_database > flows/server/empty.sql"
    assert content(made_by_prefect(tmp_path)) == content(kept), how
    assert begin_database(tmp_path / "ours" / "prefect.db", NOWHERE)
    assert dumped(tmp_path / "ours" / "prefect.db") == kept
    assert [file.name for file in (tmp_path / "ours").iterdir()] == ["prefect.db"]
    for place in (tmp_path, tmp_path / "ours"):
        opened = sqlite3.connect(place / "prefect.db")
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        opened.close()


def test_one_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "prefect.db").write_bytes(b"")
    assert not begin_database(tmp_path / "prefect.db", NOWHERE)
    assert (tmp_path / "prefect.db").read_bytes() == b""


def test_on_a_disk_that_is_full_prefect_says_so(tmp_path: Path) -> None:
    database = tmp_path / "prefect.db"
    code = f"""
import resource, signal
from pathlib import Path
from flows.server.new_database import begin_database
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # no file may be longer, as on a full disk
print(begin_database(Path({str(database)!r}), {{}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_of_another_version_or_in_another_place_prefect_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "prefect.db"
    assert not begin_database(database, {"PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://x"})
    monkeypatch.setattr(new_database, "VERSION", "3.8.7")
    assert not begin_database(database, NOWHERE)
    assert not database.exists()
