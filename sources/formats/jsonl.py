"""Read JSON lines: one object a line, numbers kept as written, an absent key the same as null."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from sources.errors import BadCell, BadTable, DataError, Problem, nearest
from sources.formats.table import CHUNK_ROWS, LINE, Table, Wanted
from sources.formats.text_file import open_text

MAX_PROBLEMS = 5
"""Bad lines named before reading stops."""


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


_DECODE = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=JsonNumber, parse_float=JsonNumber, parse_constant=_no_constant
).decode


def read_jsonl(file: Path, name: str, wanted: Wanted, *, on_rows: Callable[[int], None]) -> Table:
    """The wanted columns of one JSONL file (`.gz` unpacked), `name` being how messages call it.

    Raises:
        UnreadableSource: see `sources.formats.text_file`.
        BadTable: a line that is no JSON object, a key twice, or a column that no line has.
        BadCell: a text that is no string, or a label that is an object. Up to five lines are named.
    """
    keys: set[str] = set()
    chunks: list[tuple[pl.DataFrame, dict[str, int], dict[str, int]]] = []
    with open_text(file, name) as text:
        for lines, rows in _chunks(text, name, wanted.limit, keys):
            chunks.append(_columns(lines, rows, wanted, keys, name))
            on_rows(len(rows))
    if not chunks:
        raise BadTable(Problem(file=name, seen="the file has no rows", expected="at least one JSON object"))
    absent = [column for column in sorted(wanted.must_exist) if column not in keys]
    if absent:
        raise BadTable(
            *(
                Problem(
                    file=name,
                    column=column,
                    seen="no line has this key",
                    advice=nearest(column, sorted(keys)),
                )
                for column in absent
            )
        )
    lists = {column: line for _, found, _ in reversed(chunks) for column, line in found.items()}
    plain = {column: line for _, _, found in reversed(chunks) for column, line in found.items()}
    if mixed := sorted(set(lists) & set(plain)):
        raise BadCell(
            *(
                Problem(
                    file=name,
                    line=max(lists[column], plain[column]),
                    column=column,
                    seen="some cells are lists and others are not: here for the first time the other kind",
                    expected="one kind in the whole column",
                )
                for column in mixed
            )
        )
    return Table(
        frame=pl.concat([frame for frame, _, _ in chunks], how="diagonal", rechunk=True),
        lists=frozenset(lists),
    )


def _chunks(
    text: Iterable[str], name: str, limit: int | None, keys: set[str]
) -> Iterator[tuple[list[int], list[dict[str, Any]]]]:
    lines: list[int] = []
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    done = 0
    for number, line in enumerate(text, start=1):
        if not line.strip(" \t\r\n"):
            continue
        row = _row(line, number, name, problems)
        if row is None:
            if len(problems) == MAX_PROBLEMS:
                break
            continue
        keys.update(row)
        lines.append(number)
        rows.append(row)
        if len(rows) == CHUNK_ROWS or (limit is not None and done + len(rows) == limit):
            yield lines, rows
            done += len(rows)
            lines, rows = [], []
            if done == limit:
                break
    if problems:
        raise BadTable(*problems)
    if rows:
        yield lines, rows


def _row(line: str, number: int, name: str, problems: list[Problem]) -> dict[str, Any] | None:
    """The object on a line; None, and a problem more, if there is none."""
    seen = ""
    try:
        row = _DECODE(line)
        if isinstance(row, dict):
            return row
        seen = "the line is JSON, but not an object"
        if isinstance(row, list):
            seen = "the line is a JSON array"
    except json.JSONDecodeError as error:
        seen = f"not JSON ({error.msg} at character {error.colno})"
        if number == 1 and line.strip() == "[":
            seen = "the file is one JSON array over several lines"
    except _Malformed as error:
        seen = str(error)
    except RecursionError:
        seen = "nested too deeply"
    problems.append(Problem(file=name, line=number, seen=seen, expected="one JSON object a line"))
    return None


def _columns(
    lines: list[int], rows: list[dict[str, Any]], wanted: Wanted, keys: set[str], name: str
) -> tuple[pl.DataFrame, dict[str, int], dict[str, int]]:
    """One chunk as strings, and which of its columns hold lists, and which hold anything else: each with
    the first line where it does."""
    series = [pl.Series(LINE, lines, dtype=pl.Int64)]
    lists: dict[str, int] = {}
    plain: dict[str, int] = {}
    errors: list[DataError] = []
    columns = dict.fromkeys(wanted.columns)
    if wanted.all_columns:
        columns |= dict.fromkeys(sorted(keys))
    for column in columns:
        values = [row.get(column) for row in rows]
        kinds = set(map(type, values))
        if column == wanted.text:
            bad = kinds - {str, type(None)}
        else:
            bad = set() if column not in wanted.columns else kinds & {dict}
        if bad:
            at = next(i for i, value in enumerate(values) if type(value) in bad)
            expected = (
                "a string or null" if column == wanted.text else "a string, number, boolean, list or null"
            )
            what = {JsonNumber: "a number", bool: "a boolean", list: "a list", dict: "an object"}
            errors.append(
                BadCell(
                    Problem(
                        file=name,
                        line=lines[at],
                        column=column,
                        seen=f"the cell is {what[type(values[at])]}",
                        expected=expected,
                    )
                )
            )
            continue
        if list in kinds:
            lists[column] = next(n for n, v in zip(lines, values, strict=True) if type(v) is list)
        if kinds - {list, type(None)}:
            plain[column] = next(
                n for n, v in zip(lines, values, strict=True) if v is not None and type(v) is not list
            )
        if kinds - {str, type(None)}:
            values = [
                _as_text(value, line, column, name) if column in wanted.columns else _any_text(value)
                for line, value in zip(lines, values, strict=True)
            ]
        try:
            series.append(pl.Series(column, values, dtype=pl.String))
        except UnicodeEncodeError:
            at = next(i for i, v in enumerate(values) if v is not None and not _encodable(v))
            errors.append(
                BadCell(
                    Problem(
                        file=name,
                        line=lines[at],
                        column=column,
                        seen="the cell holds half of a surrogate pair (an escape such as \\ud83d alone)",
                        expected="Unicode text",
                        advice="Write the character whole; it was cut in two.",
                    )
                )
            )
    if errors:
        raise BadCell(*(problem for error in errors for problem in error.problems))
    return pl.DataFrame(series), lists, plain


def _as_text(value: Any, line: int, column: str, name: str) -> str | None:
    """A cell as a string: numbers and booleans as JSON writes them, lists as a JSON array of strings."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    labels = []
    for item in value:
        if item is None or isinstance(item, (list, dict)):
            raise BadCell(
                Problem(
                    file=name,
                    line=line,
                    column=column,
                    seen="the list holds " + ("null" if item is None else "a list or an object"),
                    expected="a list of labels",
                )
            )
        labels.append(("true" if item else "false") if isinstance(item, bool) else str(item))
    return json.dumps(labels, ensure_ascii=False)


def _any_text(value: Any) -> str | None:
    """A cell that only a row filter may look at, as a string."""
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return value if value is None else _as_text(value, 0, "", "")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
