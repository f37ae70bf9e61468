"""Rows of an SQL query: what is read, and that the database's address never stands in a message."""

from __future__ import annotations

import sqlite3
import traceback
from pathlib import Path
from typing import Any

import pytest

from model.spec import HeadSpec
from sources.errors import BadTable, DataError, UnreadableSource
from sources.formats.locate import AbsentPath
from sources.formats.read import read_source
from sources.spec import SourceSpec, source_problems

VARIABLE = "HEADGATE_TEST_DB"
SECRET = "s3cr3t"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "tickets.db"
    with sqlite3.connect(file) as made:
        made.execute("CREATE TABLE tickets (id INTEGER, body TEXT, topic TEXT, n, old BLOB)")
        cells = [(1, "one", "x", 5, b"x"), (2, "two", None, "5.0", b"x"), (3, "three: it's", "y", None, b"x")]
        made.executemany("INSERT INTO tickets VALUES (?, ?, ?, ?, ?)", cells)
    made.close()
    monkeypatch.setenv(VARIABLE, f"sqlite:///{file}")
    return tmp_path


def rows(folder: Path, sql: str, **more: Any) -> list[tuple[Any, ...]]:
    spec = SourceSpec(sql=sql, connection=VARIABLE, **{"heads": {"topic": "topic"}, **more})
    frame = read_source("it", spec, folder, lambda rows: None).table.frame
    return frame.select("__line", "__file", "text", *spec.targets["topic"].source_columns).rows()


QUERY = "SELECT body AS text, topic, n, old FROM tickets"


def test_the_rows_of_a_query(database: Path) -> None:
    place = f"sql:{VARIABLE}"
    expected = [(1, place, "one", "x"), (2, place, "two", None), (3, place, "three: it's", "y")]
    assert rows(database, f"{QUERY} WHERE body <> ':x' AND body LIKE '%e%' OR id = 2 ORDER BY id") == expected
    assert rows(database, f"{QUERY} ORDER BY id", limit=1) == expected[:1]
    assert rows(database, QUERY, where="topic = 'y'") == expected[2:]
    assert [row[3] for row in rows(database, QUERY, heads={"topic": "n"})] == ["5", "5.0", None]


def test_nothing_is_ever_committed(database: Path) -> None:
    with pytest.raises(BadTable, match="gives no table"):
        rows(database, "DELETE FROM tickets")
    assert len(rows(database, QUERY)) == 3


@pytest.mark.parametrize(
    ("sql", "more", "seen"),
    [
        ("SELECT text FROM nothing", {}, r"the query cannot be run \(OperationalError\)"),
        ("SELECT body AS text, id AS topic, id AS topic FROM tickets", {}, "gives the column twice"),
        (f"{QUERY} WHERE id > 9", {}, "gives no rows"),
        ("SELECT body, topic FROM tickets", {}, "there is no such column"),
        ("SELECT body FROM tickets", {}, "none of the columns"),
        (QUERY, {"heads": {"topic": "old"}}, "the column holds bytes"),
        ("SELECT n AS text, topic FROM tickets", {}, "cells of several types"),
    ],
)
def test_queries_that_give_no_table(database: Path, sql: str, more: Any, seen: str) -> None:
    with pytest.raises(BadTable, match=seen) as caught:
        rows(database, sql, **more)
    assert str(database) not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "error", "seen"),
    [
        ("", AbsentPath, f"{VARIABLE} is not set"),
        (f"sqlite:////nowhere/{SECRET}.db", AbsentPath, "is not there"),
        (f"{SECRET} no address", UnreadableSource, "no address that SQLAlchemy understands"),
        (f"oracle+nosuch://u:{SECRET}@h/d", UnreadableSource, "driver is not installed"),
        (
            f"postgresql+psycopg2://u:{SECRET}@127.0.0.1:1/d",
            UnreadableSource,
            "driver is not|cannot be reached",
        ),
    ],
)
def test_an_address_is_never_shown(
    database: Path, monkeypatch: pytest.MonkeyPatch, address: str, error: type[DataError], seen: str
) -> None:
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(error, match=seen) as caught:
        rows(database, QUERY)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_an_address_in_the_configuration_is_refused_and_not_repeated() -> None:
    spec = SourceSpec(sql="SELECT 1", connection=f"sqlite:///{SECRET}", heads={"topic": "topic"})
    (said,) = source_problems(spec, {"topic"})
    assert "environment variable" in said and SECRET not in said
    assert "connection" in next(source_problems(SourceSpec(sql="SELECT 1", heads={"t": "t"}), {"t"}))
    both = SourceSpec(sql="SELECT 1", path="a.csv", connection="A", heads={"t": "t"})
    assert "exactly one" in next(source_problems(both, {"t"}))


def test_the_dataset_holds_no_address(build: Any, database: Path, tmp_path: Path) -> None:
    built = build(
        {"it": SourceSpec(sql=QUERY, connection=VARIABLE, split="train", heads={"topic": "topic"})},
        {"topic": HeadSpec(kind="multiclass")},
        filler={"topic": ["x", "y"]},
    )
    assert built.answers("topic")["one"] == "x"
    for file in built.ref.path.rglob("*"):
        assert not file.is_file() or b"tickets.db" not in file.read_bytes(), file
