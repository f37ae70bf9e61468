"""What is read by the block is what is read row by row: the same cells and lines, or left to that reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.errors import DataError
from sources.formats import delimited, jsonl
from sources.formats.blocks import cut, json_lines
from sources.formats.delimited import Dialect, read_delimited
from sources.formats.jsonl import read_jsonl
from sources.formats.table import Table, Wanted

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PIECES = [
    "a",
    "é",
    " ",
    ",",
    ";",
    '"',
    '""',
    '"a,b"',
    '"x\ny"',
    "\n",
    "\n",
    "\r\n",
    "\r",
    "1,2",
    "\t",
    "\u2028",
]
VALUES = st.one_of(
    st.sampled_from(
        [None, True, False, 0, 1, -7, 1.0, 2.5, 10**20, "", "b", "é\u2028", "2020-01-01", "1", "n\\"]
    ),
    st.lists(st.sampled_from(["a", "b,c", 'q"', "", 1, 0, None, True, 1.5]), max_size=3),
    st.just({"k": 1}),
)
BROKEN = [
    '{"text": "a", "text": "b"}',
    '{"text": "a", "label": NaN}',
    '{"text": "a", "label": -0}',
    '{"text": "a", "label": 01}',
    '{"text": "a"} {"text": "b"}',
    '{"text": "\\ud83d"}',
    '{"text": "a\tb"}',
    '{"text": "x", "label": "\\u00e9"} ',
    '{"text":"a",',
    '"label": {}}',
    '["a"]',
    '{"text": "a", "meta": {"x": 1, "x": 2}}',
    '{"text": "a", "deep": ' + "[" * 3000 + "]" * 3000 + "}",
    "",
    "  ",
]


@pytest.fixture(params=[64, 1 << 20], ids=["small blocks", "one block"])
def _blocks(request: pytest.FixtureRequest) -> Iterator[None]:
    with patch.object(cut, "BLOCK_BYTES", request.param), patch.object(json_lines, "SAMPLED", 1):
        yield


def _told(table: Table | DataError) -> object:
    if isinstance(table, DataError):
        return str(table)
    return table.frame.to_dicts(), table.frame.schema, table.lists, table.said


def _delimited(path: Path, columns: tuple[str, ...], dialect: Dialect, rows: list[int]) -> Table | DataError:
    wanted = Wanted(text=columns[0], columns=columns, must_exist=frozenset(columns))
    try:
        return read_delimited(path, "f", wanted, dialect, rows.append)
    except DataError as error:
        return error


def _jsonl(path: Path, columns: tuple[str, ...], rows: list[int]) -> Table | DataError:
    wanted = Wanted(
        text="text", columns=columns, must_exist=frozenset(("text",)), also=frozenset(("answer",))
    )
    try:
        return read_jsonl(path, "f", wanted, rows.append)
    except DataError as error:
        return error


@pytest.mark.usefixtures("_blocks")
@MANY
@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=30),
    quoting=st.sampled_from([True, False, None]),
    header=st.sampled_from(["a,b", "b,a,c", '"a","b"', "a;b"]),
    fields=st.sampled_from([None, 2, 3]),
)
def test_delimited(
    tmp_path: Path, pieces: list[str], quoting: bool | None, header: str, fields: int | None
) -> None:
    body = "".join(pieces)
    if fields is not None:  # as many fields in each row as there are columns
        cells = [piece.replace("\n", "").replace("\r", "").replace(",", "") for piece in pieces]
        body = "".join(
            ",".join(cells[at : at + fields]) + "\n" for at in range(0, len(cells) // fields * fields, fields)
        )
    (tmp_path / "f.csv").write_bytes(f"{header}\n{body}".encode())
    dialect = Dialect(usual=(",", True), quoting=quoting)
    counted: list[int] = []
    fast = _delimited(tmp_path / "f.csv", ("a", "b"), dialect, counted)
    with patch.object(delimited, "plain_rows", lambda *_, **__: None):
        slow = _delimited(tmp_path / "f.csv", ("a", "b"), dialect, [])
    assert _told(fast) == _told(slow)
    if isinstance(fast, Table):
        assert sum(counted) == fast.frame.height


@pytest.mark.usefixtures("_blocks")
@MANY
@given(
    values=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8),
    narrow=st.integers(0, 3),
    broken=st.none() | st.sampled_from(BROKEN),
    end=st.sampled_from(["\n", "\r\n"]),
    ascii_only=st.booleans(),
)
def test_json_lines(
    tmp_path: Path,
    values: list[tuple[object, object]],
    narrow: int,
    broken: str | None,
    end: str,
    ascii_only: bool,
) -> None:
    label, other = values[0]
    if narrow:  # mostly columns of one kind
        values = [(label, other if narrow == 1 else two) for _, two in values]
    lines = [
        json.dumps(
            {"text": f"t {at}", "label": one, "answer": two, f"k{at // 3}": at}, ensure_ascii=ascii_only
        )
        for at, (one, two) in enumerate(values)
    ]
    if broken is not None:
        lines.insert(len(lines) // 2, broken)
    (tmp_path / "f.jsonl").write_bytes(end.join(lines).encode())
    counted: list[int] = []
    fast = _jsonl(tmp_path / "f.jsonl", ("text", "label"), counted)
    with patch.object(jsonl, "_plain_chunks", lambda *_: None):
        slow = _jsonl(tmp_path / "f.jsonl", ("text", "label"), [])
    assert _told(fast) == _told(slow)
    if isinstance(fast, Table):
        assert sum(counted) == fast.frame.height


def test_plain_files_are_read_by_the_block(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text('a,b\n"two\nlines",1\n"said ""so""",2\n\n3,\n')
    (tmp_path / "f.jsonl").write_text(
        '{"text": "a", "label": ["b"]}\n{"text": "c", "label": null, "n": 1.5}\n'
    )
    columns = Wanted(text="a", columns=("a", "b"), must_exist=frozenset())
    with patch.object(delimited, "_row_by_row", None), patch.object(jsonl, "_line_by_line", None):
        table = read_delimited(tmp_path / "f.csv", "f", columns, Dialect(usual=(",", True)), [].append)
        assert table.frame["__line"].to_list() == [2, 4, 6]
        lines = _jsonl(tmp_path / "f.jsonl", ("text", "label"), [])
    assert isinstance(lines, Table)
    assert lines.frame["label"].to_list() == ['["b"]', None]
