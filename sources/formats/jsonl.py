"""Read JSON lines: one object a line, numbers kept as written, an absent key is null."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from model.suggestions import did_you_mean
from sources.errors import BadCell, BadTable, Problem, one_of
from sources.formats.blocks.cut import Block
from sources.formats.blocks.json_lines import all_lines, json_blocks, read_block, sampled_lines, types_of
from sources.formats.table import CHUNK_ROWS, LINE, Table, Wanted
from sources.formats.text_file import UTF_8, open_text, read_as

MAX_PROBLEMS = 10_000
"""Bad lines counted before reading stops."""


class JsonNumber(str):
    """A number as it is written in the file, so that `1` and `1.0` stay different labels."""

    __slots__ = ()


class _Malformed(ValueError):
    """A line is JSON, but not such as can be read without loss."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Malformed(f"the key {twice!r} stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise _Malformed(f"{name} is not JSON")


decode_json: Callable[[str], Any] = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=JsonNumber, parse_float=JsonNumber, parse_constant=_no_constant
).decode
"""A JSON text as Python objects, numbers as written. Raises `ValueError` for anything that cannot be read
without loss: no JSON, a key twice, NaN."""

HALF_A_PAIR = (
    "the cell holds half of a surrogate pair (an escape such as \\ud83d alone)",
    "Unicode text",
    "Write the whole character: it was cut in two.",
)
"""What is seen, expected and advised where a string has no UTF-8."""

_KINDS = {JsonNumber: "a number", bool: "a boolean", list: "a list", dict: "an object"}
"""Types of a cell, as messages call them."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some lines as columns of strings."""

    frame: pl.DataFrame
    lists: dict[str, int]
    """Column that holds lists → the first line where it does."""
    plain: dict[str, int]
    """Column that holds anything else than lists → the first line where it does."""


def read_jsonl(file: Path, name: str, wanted: Wanted, on_rows: Callable[[int], None]) -> Table:
    """The wanted columns of one JSONL file (`.gz` unpacked), which messages call `name`.

    Raises:
        UnreadableSource: see `sources.formats.text_file`.
        BadTable: a line that is no JSON object, a key twice, or a column that no line has.
        BadCell: a text that is no string, or a label that is an object.
    """
    keys: set[str] = set()
    with open_text(file, name, wanted.encoding) as text:
        said = read_as(text, wanted.encoding)
        chunks = _plain_chunks(file, wanted, keys, on_rows) if text.encoding == UTF_8 else None
        if chunks is None:
            chunks = list(_line_by_line(text, name, wanted, keys, on_rows))
    if not chunks:
        raise BadTable(Problem("the file has no rows", "at least one JSON object", file=name))
    if absent := sorted(wanted.must_exist - keys):
        known = sorted(keys)
        raise BadTable(
            *(
                Problem(
                    f"no line has this key{did_you_mean(key, keys)}", one_of(known), file=name, column=key
                )
                for key in absent
            )
        )
    lists = {column: line for chunk in reversed(chunks) for column, line in chunk.lists.items()}
    plain = {column: line for chunk in reversed(chunks) for column, line in chunk.plain.items()}
    if mixed := sorted(set(lists) & set(plain)):
        seen = "some cells are lists and others are not; the second kind first stands here"
        raise BadCell(
            *(
                Problem(
                    seen, "one kind in the whole column", file=name, line=max(lists[c], plain[c]), column=c
                )
                for c in mixed
            )
        )
    frame = pl.concat([chunk.frame for chunk in chunks], how="diagonal", rechunk=True)
    return Table(frame=frame, lists=frozenset(lists), said=(f"{name}: {said}",) if said else ())


def _line_by_line(
    text: Iterable[str], name: str, wanted: Wanted, keys: set[str], on_rows: Callable[[int], None]
) -> Iterator[_Chunk]:
    """All chunks, decoded by Python; the keys of their objects join `keys`."""
    for lines, rows in _rows(text, name, wanted.limit):
        for row in rows:
            keys.update(row)
        yield _columns(lines, rows, wanted, keys, name)
        on_rows(len(rows))


def _plain_chunks(
    file: Path, wanted: Wanted, keys: set[str], on_rows: Callable[[int], None]
) -> list[_Chunk] | None:
    """As `_line_by_line`, by the block; None where the file is not plain: whatever is wrong there is told by
    reading it line by line."""
    if wanted.all_columns or wanted.objects or wanted.limit is not None:
        return None
    chunks: list[_Chunk] = []
    schema = None
    for block in json_blocks(file):
        chunk = None
        if block is not None and schema is None:
            schema = _schema_of(map(_object_at, sampled_lines(block)), wanted, keys)
        if block is not None and schema is not None:
            chunk = _plain_chunk(block, schema, wanted, keys)
            if chunk is None:  # not as the first lines are
                rows = list(map(_object_at, all_lines(block)))
                schema = _schema_of(rows, wanted, keys) or schema
                chunk = _decoded_chunk(block, rows, wanted, keys)
        if chunk is None:
            on_rows(-sum(chunk.frame.height for chunk in chunks))  # they are read again
            keys.clear()
            return None
        chunks.append(chunk)
        on_rows(chunk.frame.height)
    return chunks or None


def _schema_of(rows: Iterable[dict[str, Any] | str], wanted: Wanted, keys: set[str]) -> pa.Schema | None:
    """A type for each key of some objects, which join `keys`; None where they are no plain columns."""
    objects = [row for row in rows if isinstance(row, dict)]
    for row in objects:
        keys.update(row)
    schema = types_of(objects, JsonNumber, frozenset(wanted.columns) | wanted.also)
    if schema is None or wanted.text not in schema.names:
        return None
    text = schema.field(wanted.text).type
    return schema if pa.types.is_string(text) or pa.types.is_null(text) else None


def _plain_chunk(block: Block, schema: pa.Schema, wanted: Wanted, keys: set[str]) -> _Chunk | None:
    names = dict.fromkeys((*wanted.columns, *sorted(keys & wanted.also)))
    cells = read_block(block, schema, list(names))
    if cells is None:
        return None
    series = [pl.Series(LINE, block.lines)]
    firsts: dict[bool, dict[str, int]] = {True: {}, False: {}}
    for name in names:
        column = cells.get(name, pl.Series(name, [None] * block.lines.size, dtype=pl.String))
        series.append(column)
        if column.null_count() < len(column):
            is_list = pa.types.is_list(schema.field(name).type)
            firsts[is_list][name] = int(block.lines[column.is_not_null().arg_true()[0]])
    return _Chunk(pl.DataFrame(series), lists=firsts[True], plain=firsts[False])


def _decoded_chunk(
    block: Block, rows: list[dict[str, Any] | str], wanted: Wanted, keys: set[str]
) -> _Chunk | None:
    """A block that Python decoded; None where something is wrong with it."""
    objects = [row for row in rows if isinstance(row, dict)]
    if len(objects) < len(rows):
        return None
    try:
        return _columns(block.lines.tolist(), objects, wanted, keys, "")
    except BadCell:
        return None


def _rows(
    text: Iterable[str], name: str, limit: int | None
) -> Iterator[tuple[list[int], list[dict[str, Any]]]]:
    """Up to `limit` objects with their lines, `CHUNK_ROWS` at a time."""
    lines: list[int] = []
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    left = sys.maxsize if limit is None else limit
    for number, line in enumerate(text, start=1):
        if not line.strip(" \t\r\n"):
            continue
        row = _object_on(line, number)
        if isinstance(row, str):
            problems.append(Problem(row, "one JSON object a line", file=name, line=number))
            if len(problems) == MAX_PROBLEMS:
                break
            continue
        lines.append(number)
        rows.append(row)
        if len(rows) == min(CHUNK_ROWS, left):
            yield lines, rows
            left -= len(rows)
            lines, rows = [], []
            if not left:
                break
    if problems:
        raise BadTable(*problems)
    if rows:
        yield lines, rows


def _object_at(line: str) -> dict[str, Any] | str:
    return _object_on(line, 0)


def _object_on(line: str, number: int) -> dict[str, Any] | str:
    """The object on a line, or what is there instead."""
    try:
        row = decode_json(line)
    except json.JSONDecodeError as error:
        if number == 1 and line.strip() == "[":
            return "the file is one JSON array over several lines"
        return f"not JSON ({error.msg} at character {error.colno})"
    except _Malformed as error:
        return str(error)
    except RecursionError:
        return "nested too deeply"
    if isinstance(row, dict):
        return row
    return "the line is a JSON array" if isinstance(row, list) else "the line is JSON, but not an object"


def _columns(
    lines: list[int], rows: list[dict[str, Any]], wanted: Wanted, keys: set[str], name: str
) -> _Chunk:
    """The wanted columns of some lines; of `keys`, those seen so far, all where a filter needs them.

    Raises:
        BadCell: cells that hold no text or label; the first of each column is named.
    """
    series = [pl.Series(LINE, lines, dtype=pl.Int64)]
    lists: dict[str, int] = {}
    plain: dict[str, int] = {}
    problems: list[Problem] = []
    others = sorted(keys if wanted.all_columns else keys & wanted.also)
    for column in dict.fromkeys((*wanted.columns, *others)):
        values = [row.get(column) for row in rows]
        kinds = set(map(type, values))
        try:
            _check_kinds(values, kinds, column, wanted)
            if list in kinds:
                lists[column] = next(n for n, v in zip(lines, values, strict=True) if type(v) is list)
            if kinds - {list, type(None)}:
                single = (
                    n for n, v in zip(lines, values, strict=True) if v is not None and type(v) is not list
                )
                plain[column] = next(single)
            if kinds - {str, type(None)}:
                values = [_as_text(value, at, column in wanted.columns) for at, value in enumerate(values)]
            series.append(_strings(column, values))
        except _BadValue as error:
            problems.append(replace(error.problem, file=name, line=lines[error.at], column=column))
    if problems:
        raise BadCell(*problems)
    return _Chunk(pl.DataFrame(series), lists, plain)


class _BadValue(Exception):
    """The value at a position of a column cannot be read."""

    def __init__(self, at: int, seen: str, expected: str, advice: str = "") -> None:
        super().__init__(at, seen)
        self.at = at
        self.problem = Problem(seen, expected, advice)


def _check_kinds(values: list[Any], kinds: set[type], column: str, wanted: Wanted) -> None:
    expected = "a string, number, boolean, list or null"
    advice = ""
    bad = kinds & {dict} if column in wanted.columns and column not in wanted.objects else set()
    if bad:
        advice = "If it holds a score of each label, set `threshold` beside the label's `column`."
    if column == wanted.text:
        bad, expected, advice = kinds - {str, type(None)}, "a string or null", ""
    if bad:
        at = next(i for i, value in enumerate(values) if type(value) in bad)
        raise _BadValue(at, f"the cell is {_KINDS[type(values[at])]}", expected, advice)


def _as_text(value: Any, at: int, is_label: bool) -> str | None:
    """A cell as a string: numbers and booleans as JSON writes them, lists as a JSON array of strings.

    A cell that only a row filter looks at (not `is_label`) may hold anything.
    """
    if value is None or type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    if not is_label or isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    labels = []
    for item in value:
        if item is None or isinstance(item, (list, dict)):
            what = "null" if item is None else "a list or an object"
            raise _BadValue(at, f"the list holds {what}", "a list of labels")
        labels.append(("true" if item else "false") if isinstance(item, bool) else str(item))
    return json.dumps(labels, ensure_ascii=False)


def _strings(column: str, values: list[str | None]) -> pl.Series:
    try:
        return pl.Series(column, values, dtype=pl.String)
    except UnicodeEncodeError:
        # Strings with half of a surrogate pair have no UTF-8.
        at = next(i for i, value in enumerate(values) if value != whole_characters(value))
        raise _BadValue(at, *HALF_A_PAIR) from None


def whole_characters(value: str | None) -> str | None:
    """`value` without halves of surrogate pairs."""
    return None if value is None else value.encode(errors="ignore").decode()
