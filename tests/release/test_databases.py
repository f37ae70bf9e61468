"""A damaged database is known before a library opens it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from release import databases
from release.databases import database_problem
from release.home import Home
from release.registry.store import STORE_FILE, StoreProblem, tracking_uri


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of several pages."""
    path = tmp_path / "some.sqlite"
    opened = sqlite3.connect(path)
    with opened:
        opened.execute("CREATE TABLE t (a TEXT)")
        opened.executemany("INSERT INTO t VALUES (?)", [("x" * 900,) for _ in range(100)])
    opened.close()
    return path


def test_a_sound_one_and_none(database: Path, tmp_path: Path) -> None:
    assert database_problem(database) == database_problem(tmp_path / "absent") == ""


def test_one_that_is_being_written_is_sound(database: Path) -> None:
    writer = sqlite3.connect(database)
    writer.execute("BEGIN EXCLUSIVE")
    assert database_problem(database) == ""
    writer.close()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no database at all" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\x07" * 40_000),
        _folder,
        _link,
    ],
)
def test_damage_is_known(database: Path, harm: Callable[[Path], None]) -> None:
    harm(database)
    assert database_problem(database)


def test_the_registry_says_so_and_what_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.mlflow / STORE_FILE).write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreProblem, match=r"store\.sqlite: MLflow's database is damaged .*`mv "):
        tracking_uri(home)


def test_a_large_one_is_looked_through_for_a_while_only(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sound until then counts as sound; what it says of itself is always read."""
    with sqlite3.connect(database) as opened:
        opened.executemany("INSERT INTO t VALUES (?)", [("x" * 900,) for _ in range(30_000)])
    monkeypatch.setattr(databases, "LOOK_S", 0.0)
    assert database_problem(database) == ""
    database.write_bytes(database.read_bytes()[:5000])
    assert database_problem(database)
