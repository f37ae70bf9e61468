"""Read CSV and TSV: every cell a string as written, every row with as many fields as there are columns.

Quoting follows RFC 4180 (`"` around a cell, doubled inside), line breaks inside quotes belong to the
cell. A quote in the middle of an unquoted cell is taken as it stands. Blank lines are skipped. Where neither
the configuration nor a first line `sep=;` says what stands between cells, the usual sign of the format does,
or another one if only that gives the wanted columns; this is said.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, TextIO

import polars as pl

from model.suggestions import did_you_mean
from sources.errors import BadTable, Problem, one_of, quoted
from sources.formats.blocks.delimited import plain_rows
from sources.formats.table import CHUNK_ROWS, LINE, Table, Wanted
from sources.formats.text_file import UTF_8, open_text, read_as

MAX_PROBLEMS = 10_000
"""Bad rows counted before reading stops."""
DELIMITERS = ",\t;|"
"""What may stand between cells where nothing says it."""

_ANNOUNCED = re.compile(r'"?sep=([^"\r\n])"?[,;\t|]*\r?\n?', re.IGNORECASE)
"""A first line that tells a spreadsheet the delimiter."""

Row = tuple[int, list[str]]
"""The line on which a row starts, and its fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a delimited file is written."""

    usual: tuple[str, bool]
    """Delimiter of the format, and whether `"` quotes its cells."""
    delimiter: str | None = None
    """None: not given."""
    quoting: bool | None = None
    """Whether `"` quotes cells; None: not given."""
    header: bool = True
    names: tuple[str, ...] = ()
    """Names of the columns of a file without a header."""


def read_delimited(
    file: Path, name: str, wanted: Wanted, dialect: Dialect, on_rows: Callable[[int], None]
) -> Table:
    """The wanted columns of one CSV or TSV file (`.gz` unpacked), which messages call `name`.

    Raises:
        UnreadableSource: see `sources.formats.text_file`.
        BadTable: no header or rows, columns missing or twice, a row with more or fewer fields, a quote
            that is not closed or stands in the wrong place.
    """
    with open_text(file, name, wanted.encoding) as text, _any_cell_size():
        said = [read_as(text, wanted.encoding)]
        first, announced = _first_line(text)
        delimiter, quoted_cells = _signs(first, announced, dialect, wanted)
        said.append(_different(delimiter, quoted_cells, dialect))
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted_cells else csv.QUOTE_NONE
        reader = csv.reader(chain([first], text), delimiter=delimiter, quoting=quoting, strict=True)
        rows = _numbered(reader, name, lines_before=0 if announced is None else 1)
        columns = _header(rows, name) if dialect.header else list(dialect.names)
        _check_columns(columns, wanted, name, delimiter)
        kept = columns if wanted.all_columns else [*wanted.columns, *(c for c in columns if c in wanted.also)]
        frame = None
        if text.encoding == UTF_8 and wanted.limit is None and announced is None:
            frame = plain_rows(file, columns, kept, (delimiter, quoted_cells), on_rows, header=dialect.header)
        if frame is None:
            frame = _row_by_row(_chunks(rows, len(columns), wanted.limit, name), columns, kept, on_rows)
    if frame is None:
        seen = "the file has a header but no rows" if dialect.header else "the file has no rows"
        raise BadTable(Problem(seen, "at least one row", file=name))
    # In a delimited file an empty text and a missing one look alike: both are missing.
    frame = frame.with_columns(pl.col(wanted.text).replace("", None))
    return Table(frame=frame, said=tuple(f"{name}: {line}" for line in said if line))


def _first_line(text: TextIO) -> tuple[str, str | None]:
    """(The first line of the table; the delimiter that a line `sep=;` before it announces, or None.)"""
    first = text.readline()
    if announced := _ANNOUNCED.fullmatch(first):
        return text.readline(), announced.group(1)
    return first, None


def _signs(first: str, announced: str | None, dialect: Dialect, wanted: Wanted) -> tuple[str, bool]:
    """The delimiter, and whether cells are quoted: as given, else as the first line has the columns.

    Args:
        first: the header, or the first row of a file without one.
        announced: the delimiter of a line `sep=;`.
    """
    usual, usually_quoted = dialect.usual
    delimiter = dialect.delimiter or announced
    delimiters = [delimiter] if delimiter else [usual, *(d for d in DELIMITERS if d != usual)]
    quotings = [usually_quoted, not usually_quoted] if dialect.quoting is None else [dialect.quoting]
    choices = [(d, q) for q in quotings for d in delimiters]

    def fits(choice: tuple[str, bool]) -> bool:
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if choice[1] else csv.QUOTE_NONE
        cells = next(csv.reader([first], delimiter=choice[0], quoting=quoting), [])
        if not dialect.header:
            return len(cells) == len(dialect.names)
        return len(cells) > 1 and set(cells).issuperset(wanted.columns)

    return next(filter(fits, choices), choices[0])


def _different(delimiter: str, quoted_cells: bool, dialect: Dialect) -> str:
    """What to say of signs that neither the configuration nor the format gives."""
    usual, usually_quoted = dialect.usual
    said = []
    if dialect.delimiter is None and delimiter != usual:
        said.append(f"cells are separated by {delimiter!r} (`delimiter: {json.dumps(delimiter)}`)")
    if dialect.quoting is None and quoted_cells != usually_quoted:
        said.append(
            f"cells {'are' if quoted_cells else 'are not'} quoted (`quoting: {str(quoted_cells).lower()}`)"
        )
    return " and ".join(said)


@contextmanager
def _any_cell_size() -> Iterator[None]:
    """Lift csv's limit of 128 KiB a cell while reading: a text of 10 MB is long, not malformed."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _numbered(reader: Iterator[list[str]], name: str, lines_before: int) -> Iterator[Row]:
    """Each row that is not a blank line, with the line it starts on."""
    start = lines_before + 1
    try:
        for row in reader:
            if row:
                yield start, row
            start = lines_before + reader.line_num + 1  # type: ignore[attr-defined]
    except csv.Error as error:
        seen = str(error)
        if seen == "unexpected end of data":
            seen = 'a cell opened with " is not closed before the end of the file'
        elif seen.endswith("expected after '\"'"):
            seen = 'something follows the closing " of a cell'
        expected = 'cells quoted as in RFC 4180, a " inside written twice'
        advice = "Correct the row that starts there, or set `quoting: false` if quotes mean nothing."
        raise BadTable(Problem(seen, expected, advice, file=name, line=start)) from error


def _header(rows: Iterator[Row], name: str) -> list[str]:
    for _, row in rows:
        return row
    raise BadTable(Problem("the file holds only blank lines", "a header", file=name))


def _check_columns(columns: list[str], wanted: Wanted, name: str, delimiter: str) -> None:
    problems = []
    for column in sorted({c for c in columns if c and columns.count(c) > 1}):
        places = [str(i) for i, c in enumerate(columns, start=1) if c == column]
        seen = f"the column stands {len(places)} times in the header (fields {', '.join(places)})"
        problems.append(
            Problem(seen, "each column once", "Rename or remove one.", file=name, line=1, column=column)
        )
    other = _other_sign(columns, wanted, delimiter)
    if other is None and not set(columns) & set(wanted.columns) and any(len(c.split()) > 3 for c in columns):
        seen = "the first line has none of the wanted columns and looks like a row"
        advice = "If the file has no header, set `header: false` and `names` with its columns in order."
        raise BadTable(Problem(seen, f"a header with {', '.join(wanted.columns)}", advice, file=name, line=1))
    absent = [column for column in wanted.columns if column not in columns]
    if absent and other is not None:
        seen = f"the header is one field that holds {other!r}, so that {len(absent):,} columns are not found"
        advice = f"Set `delimiter: {json.dumps(other)}`."
        problems.append(Problem(seen, f"fields separated by {delimiter!r}", advice, file=name, line=1))
    elif absent:
        for column in absent:
            seen = f"there is no such column{did_you_mean(column, columns)}"
            problems.append(Problem(seen, one_of(columns), file=name, line=1, column=column))
    if problems:
        raise BadTable(*problems)


def _other_sign(columns: list[str], wanted: Wanted, delimiter: str) -> str | None:
    """What separates the cells of a header that is one field: a usual delimiter in it, or the sign that gives
    the wanted columns."""
    if len(columns) != 1:
        return None
    signs = dict.fromkeys([*DELIMITERS, *(sign for sign in columns[0] if not sign.isalnum())])
    gives = [d for d in signs if d != delimiter and set(wanted.columns) <= set(columns[0].split(d))]
    return next(iter((*gives, *(d for d in DELIMITERS if d != delimiter and d in columns[0]))), None)


def _chunks(rows: Iterator[Row], width: int, limit: int | None, name: str) -> Iterator[list[Row]]:
    """Up to `limit` rows, `CHUNK_ROWS` at a time, each with `width` fields."""
    chunk: list[Row] = []
    problems: list[Problem] = []
    left = sys.maxsize if limit is None else limit
    for row in rows:
        if len(row[1]) != width:
            problems.append(_ragged(*row, width, name))
            if len(problems) == MAX_PROBLEMS:
                break
            continue
        chunk.append(row)
        if len(chunk) == min(CHUNK_ROWS, left):
            yield chunk
            left -= len(chunk)
            chunk = []
            if not left:
                break
    if problems:
        raise BadTable(*problems)
    if chunk:
        yield chunk


def _row_by_row(
    chunks: Iterator[list[Row]], columns: list[str], kept: list[str], on_rows: Callable[[int], None]
) -> pl.DataFrame | None:
    """What is not plain, with Python's own reader; None without rows."""
    frames = [_frame(chunk, kept, [columns.index(c) for c in kept], on_rows) for chunk in chunks]
    return pl.concat(frames, rechunk=True) if frames else None


def _frame(
    chunk: list[Row], names: list[str], positions: list[int], on_rows: Callable[[int], None]
) -> pl.DataFrame:
    on_rows(len(chunk))
    lines, rows = zip(*chunk, strict=True)
    by_column = list(zip(*rows, strict=True))
    columns = [pl.Series(LINE, lines, dtype=pl.Int64)]
    columns += [
        pl.Series(name, by_column[at], dtype=pl.String) for name, at in zip(names, positions, strict=True)
    ]
    return pl.DataFrame(columns)


def _ragged(line: int, row: list[str], width: int, name: str) -> Problem:
    advice = "Write empty cells for what is missing."
    if len(row) > width:
        advice = "Quote cells that hold the separator."
    first = f" (the first is {quoted(row[0])})" if width == 1 and len(row[0]) < 20 else ""
    seen = f"the row has {len(row)} fields{first}"
    return Problem(seen, f"{width}, as there are columns", advice, file=name, line=line)
