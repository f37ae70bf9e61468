"""The items of a JSON file (an array, or one document a line) and the rows of a CSV, each with its place.

Does not know what an item means. Numbers stay as written.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import polars as pl

from sources.errors import BadTable, Problem
from sources.formats.jsonl import decode_json
from sources.formats.text_file import open_text

MAX_PROBLEMS = 10_000
"""Bad lines counted before reading stops."""

Item = tuple[int, Any]
"""The item's line (JSON lines, CSV) or its number in the array, from 1; and what it holds."""


def read_items(file: Path, name: str, encoding: str) -> list[Item]:
    """The items of a JSON array, or the documents of JSON lines; a file that is one object is one item.

    Raises:
        UnreadableSource: see `sources.formats.text_file`.
        BadTable: not JSON; up to three lines are named.
    """
    with open_text(file, name, encoding) as text:
        content = text.read()
    if content.lstrip().startswith("["):
        try:
            whole = decode_json(content.strip())
        except json.JSONDecodeError as error:
            if error.msg != "Extra data":  # else there is an array on each line
                raise BadTable(_problem(error, name, error.lineno)) from error
        except (ValueError, RecursionError) as error:
            raise BadTable(_problem(error, name, None)) from error
        else:
            return list(enumerate(whole, start=1))
    return _lines(content, name)


def _whole(content: str) -> Any:
    """The file as one JSON document; None if it is none."""
    try:
        return decode_json(content.strip())
    except (ValueError, RecursionError):
        return None


def _lines(content: str, name: str) -> list[Item]:
    items: list[Item] = []
    problems: list[Problem] = []
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            items.append((number, decode_json(line.strip())))
        except (ValueError, RecursionError) as error:
            problems.append(_problem(error, name, number))
            if len(problems) == MAX_PROBLEMS:
                break
    if problems:
        if (whole := _whole(content)) is not None:  # one document over several lines
            return [(1, whole)]
        raise BadTable(*(problems if items else problems[:1]))
    return items


def _problem(error: Exception, name: str, line: int | None) -> Problem:
    seen = f"not JSON ({error.msg})" if isinstance(error, json.JSONDecodeError) else f"not JSON ({error})"
    return Problem(seen, "a JSON array, or one JSON document a line", file=name, line=line)


def objects(items: list[Item], name: str, tool: str) -> list[tuple[int, dict[str, Any]]]:
    """The items, all of which must be objects.

    Raises:
        BadTable: there is none, or one is no object.
    """
    for line, item in items:
        if not isinstance(item, dict):
            expected = f"an object, as each item of an export of {tool} is"
            raise BadTable(Problem(f"the item is {_kind(item)}", expected, file=name, line=line))
    if not items:
        raise BadTable(Problem("the file has no items", "at least one", file=name))
    return items


def _kind(item: Any) -> str:
    return "a list" if isinstance(item, list) else "a string, number, boolean or null"


def read_csv_rows(file: Path, name: str, encoding: str) -> list[tuple[int, dict[str, str | None]]]:
    """The rows of a CSV with a header, by column; an empty cell is None. A line is the row's number, the
    header being the first.

    Raises:
        UnreadableSource: see `sources.formats.text_file`.
        BadTable: rows of different lengths, an open quote, no rows.
    """
    with open_text(file, name, encoding) as text:
        content = text.read()
    try:
        frame = pl.read_csv(io.StringIO(content), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        expected = "a CSV as the tool exports it: commas, a header, as many fields in every row"
        raise BadTable(Problem("the rows do not fit together", expected, file=name)) from error
    if frame.height == 0:
        raise BadTable(Problem("the file has a header but no rows", "at least one row", file=name))
    return list(enumerate(frame.iter_rows(named=True), start=2))
