"""Read CSV and TSV: every cell a string as written, every row with as many fields as there are columns.

Quoting follows RFC 4180 (`"` around a cell, doubled inside), line breaks inside quotes belong to the
cell. A quote in the middle of an unquoted cell is taken as it stands. Blank lines are skipped.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from sources.errors import BadTable, Problem, nearest, shown
from sources.formats.table import CHUNK_ROWS, LINE, Table, Wanted
from sources.formats.text_file import open_text

MAX_PROBLEMS = 5
"""Bad rows named before reading stops."""


def read_delimited(
    file: Path,
    name: str,
    wanted: Wanted,
    *,
    delimiter: str,
    quoting: bool,
    header: bool,
    names: tuple[str, ...],
    on_rows: Callable[[int], None],
) -> Table:
    """The wanted columns of one CSV or TSV file (`.gz` unpacked), `name` being how messages call it.

    Raises:
        UnreadableSource: see `sources.formats.text_file`.
        BadTable: no header or rows, columns missing or twice, a row with more or fewer fields, a quote
            that is not closed or stands in the wrong place. Up to five rows are named.
    """
    with open_text(file, name) as text, _any_cell_size():
        reader = csv.reader(
            text,
            delimiter=delimiter,
            quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE,
            strict=True,
        )
        rows = _numbered(reader, name)
        columns = _header(rows, name) if header else list(names)
        _check_columns(columns, wanted, name, delimiter)
        kept = columns if wanted.all_columns else list(dict.fromkeys(wanted.columns))
        positions = [columns.index(column) for column in kept]
        frames = list(_frames(rows, len(columns), positions, kept, wanted.limit, name, on_rows))
    if not frames:
        seen = "the file has a header but no rows" if header else "the file has no rows"
        raise BadTable(Problem(file=name, seen=seen, expected="at least one row"))
    frame = pl.concat(frames, rechunk=True)
    # A delimited file cannot tell an empty text from a missing one: it is missing.
    return Table(frame=frame.with_columns(pl.col(wanted.text).replace("", None)))


@contextmanager
def _any_cell_size() -> Iterator[None]:
    """Lift csv's limit of 128 KiB a cell while reading: a text of 10 MB is long, not malformed."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _numbered(reader: Iterator[list[str]], name: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not a blank line, with the line it starts on."""
    start = 1
    try:
        for row in reader:
            if row:
                yield start, row
            start = reader.line_num + 1  # type: ignore[attr-defined]
    except csv.Error as error:
        reason = {
            "unexpected end of data": 'a cell opened with " is not closed before the end of the file',
            "',' expected after '\"'": 'something follows the closing " of a cell',
            "'\t' expected after '\"'": 'something follows the closing " of a cell',
        }.get(str(error), str(error))
        raise BadTable(
            Problem(
                file=name,
                line=start,
                seen=reason,
                expected='cells quoted as in RFC 4180, a " inside written twice',
                advice="Mend the row that starts there, or set `quoting: false` if quotes mean nothing.",
            )
        ) from error


def _header(rows: Iterator[tuple[int, list[str]]], name: str) -> list[str]:
    for _, row in rows:
        return row
    raise BadTable(Problem(file=name, seen="the file holds only blank lines", expected="a header"))


def _check_columns(columns: list[str], wanted: Wanted, name: str, delimiter: str) -> None:
    problems = []
    for column in sorted({c for c in columns if c and columns.count(c) > 1}):
        places = [str(i) for i, c in enumerate(columns, start=1) if c == column]
        problems.append(
            Problem(
                file=name,
                line=1,
                column=column,
                seen=f"the column stands {len(places)} times in the header (fields {', '.join(places)})",
                expected="each column once",
                advice="Rename or remove one.",
            )
        )
    for column in dict.fromkeys(wanted.columns):
        if column in columns:
            continue
        advice = nearest(column, columns)
        other = next((d for d in ",\t;|" if d != delimiter and len(columns) == 1 and d in columns[0]), None)
        if other is not None:
            advice = (
                f"The header is a single field that holds {other!r}: the file is separated by that, "
                f"not by {delimiter!r}; set `format` or convert it."
            )
        problems.append(
            Problem(file=name, line=1, column=column, seen="there is no such column", advice=advice)
        )
    if problems:
        raise BadTable(*problems)


def _frames(
    rows: Iterator[tuple[int, list[str]]],
    width: int,
    positions: list[int],
    names: list[str],
    limit: int | None,
    name: str,
    on_rows: Callable[[int], None],
) -> Iterator[pl.DataFrame]:
    """Chunks of the wanted columns. Rows are split by the C parser; only counting is done here."""
    lines: list[int] = []
    cells: list[list[str]] = []
    problems: list[Problem] = []
    done = 0
    for line, row in rows:
        if len(row) != width:
            problems.append(_ragged(line, row, width, name))
            if len(problems) == MAX_PROBLEMS:
                break
            continue
        lines.append(line)
        cells.append(row)
        if len(lines) == CHUNK_ROWS or (limit is not None and done + len(lines) == limit):
            yield _frame(lines, cells, positions, names)
            done += len(lines)
            on_rows(len(lines))
            lines, cells = [], []
            if limit is not None and done == limit:
                break
    if problems:
        raise BadTable(*problems)
    if lines:
        yield _frame(lines, cells, positions, names)
        on_rows(len(lines))


def _frame(lines: list[int], cells: list[list[str]], positions: list[int], names: list[str]) -> pl.DataFrame:
    by_column = list(zip(*cells, strict=True))
    columns = [pl.Series(LINE, lines, dtype=pl.Int64)]
    columns += [
        pl.Series(name, by_column[at], dtype=pl.String) for name, at in zip(names, positions, strict=True)
    ]
    return pl.DataFrame(columns)


def _ragged(line: int, row: list[str], width: int, name: str) -> Problem:
    more = "more" if len(row) > width else "fewer"
    advice = (
        "Quote cells that hold the separator." if more == "more" else "Write empty cells for what is missing."
    )
    first = f" (the first is {shown(row[0])})" if width == 1 and len(row[0]) < 20 else ""
    return Problem(
        file=name,
        line=line,
        seen=f"the row has {len(row)} fields{first}",
        expected=f"{width}, as there are columns",
        advice=advice,
    )
