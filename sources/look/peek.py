"""Look at one file of which nothing is known: how it is written, its columns and its first rows.

Gives what a source's declaration would have to say beside `path`, `text` and `heads`. Does not know what the
columns mean (`sources.look.columns`).
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from sources.errors import BadTable, Problem, UnreadableSource
from sources.formats.delimited import DELIMITERS
from sources.formats.encodings import guessed_encoding
from sources.formats.exports.guess import advice_for, guessed_format
from sources.formats.headers import LABEL_NAMES, TEXT_NAMES
from sources.formats.locate import format_of
from sources.formats.text_file import AUTO, open_text

SAMPLED_ROWS = 500
"""Rows by which the columns are told apart."""
SAMPLED_CHARS = 1_000_000
"""Characters of a CSV or TSV that are looked at."""
KEYED_ROWS = 20_000
"""Lines of a JSONL file whose keys are looked at."""
MOST_WORDS = 4
"""Words that a column's name may have; a first line with longer cells is a row."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peeked:
    """How a file is written, and its first rows."""

    file: Path
    declared: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `sources.spec.SourceSpec` without which it would not be read as it was here."""
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    """The first rows: column → cell, with the types of the format."""
    said: tuple[str, ...] = ()
    """What was taken for granted."""

    @property
    def is_export(self) -> bool:
        """Whether a labelling tool wrote it, which says itself where text and labels are."""
        return "format" in self.declared and self.declared["format"] != "json"


def peek(file: Path) -> Peeked:
    """How `file` is written.

    Raises:
        DataError: it is of no known kind, empty or damaged.
    """
    tool = guessed_format(file)
    if tool is not None and tool != "json":
        return Peeked(file=file, declared={"format": tool}, columns=(), rows=())
    match format_of(file):
        case "csv":
            return _delimited(file, ",")
        case "tsv":
            return _delimited(file, "\t")
        case "jsonl":
            return _json(file)
        case "parquet":
            return _table(file, _read(pl.read_parquet, file, "Parquet"))
        case "arrow":
            return _table(file, _read(_read_arrow, file, "Arrow"))
        case "excel":
            return _excel(file)
        case None:
            advice = advice_for(file, "Name a CSV, TSV, JSONL, Parquet, Arrow or Excel file.")
            raise UnreadableSource(Problem("the ending names no format", advice=advice, file=file.name))


def _delimited(file: Path, usual: str) -> Peeked:
    encoding = _encoding(file)
    with open_text(file, file.name, encoding) as text:
        sample = text.read(SAMPLED_CHARS)
        whole = not text.read(1)
    if sample[:4].lower() in ("sep=", '"sep'):
        sample = sample.partition("\n")[2]
    delimiter, rows = _cells(sample, usual, whole=whole)
    if not rows:
        raise BadTable(Problem("the file holds no rows", "a header and rows", file=file.name))
    declared: dict[str, Any] = {} if encoding == AUTO else {"encoding": encoding}
    said = [] if encoding == AUTO else [f"{file.name} is not UTF-8; read as {encoding}, a guess"]
    if delimiter != usual:
        declared["delimiter"] = delimiter
    names, header = tuple(rows[0]), _is_header(rows)
    if not header:
        names = _names(rows)
        declared |= {"header": False, "names": names}
        said.append(f"{file.name} has no header; its columns are called {', '.join(names)}")
    body = rows[1:] if header else rows
    sampled = [dict(zip(names, row, strict=False)) for row in body[:SAMPLED_ROWS]]
    return Peeked(file=file, declared=declared, columns=names, rows=tuple(sampled), said=tuple(said))


def _encoding(file: Path) -> str:
    """The codec of a text file: `auto`, or one that is guessed where the bytes are not UTF-8."""
    try:
        with open_text(file, file.name, AUTO):
            return AUTO
    except UnreadableSource:
        data = file.read_bytes()
        try:
            data.decode()
        except UnicodeDecodeError as error:
            guess = guessed_encoding(data[max(error.start - 20_000, 0) : error.start + 20_000])
            if guess is not None:
                return guess
        raise


def _cells(sample: str, usual: str, *, whole: bool) -> tuple[str, list[list[str]]]:
    """(The sign between cells; the rows): the usual one, unless only another gives rows of one width."""
    best: tuple[float, str, list[list[str]]] = (-1.0, usual, [])
    for delimiter in (usual, *(sign for sign in DELIMITERS if sign != usual)):
        quoting: Literal[0, 3] = (
            csv.QUOTE_NONE if delimiter == "\t" and '"' not in sample[:200] else csv.QUOTE_MINIMAL
        )
        reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, quoting=quoting)
        try:
            rows = [row for row in itertools.islice(reader, SAMPLED_ROWS + 2) if row]
        except csv.Error:
            continue
        rows = rows if whole or len(rows) > SAMPLED_ROWS else rows[:-1]  # the last one may be cut
        if not rows:
            continue
        width, count = Counter(map(len, rows)).most_common(1)[0]
        alike = count / len(rows)
        if width > 1 and alike > 0.99 and len(rows[0]) == width:
            return delimiter, rows
        if (score := alike * min(width, 2)) > best[0]:
            best = (score, delimiter, rows)
    return best[1], best[2]


def _is_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: short, each once, and nothing that stands below it."""
    first, below = rows[0], rows[1:]
    if len(set(first)) < len(first) or any(not cell.strip() for cell in first):
        return False
    words = {cell.strip().casefold() for cell in first}
    if words & set(TEXT_NAMES) and words & set(LABEL_NAMES):
        return True  # also where it stands again further below, which the merge refuses
    if any(len(cell.split()) > MOST_WORDS or _is_number(cell) for cell in first):
        return False
    columns = [[row[at] for row in below if at < len(row)] for at in range(len(first))]
    return not any(
        cell in cells and len(set(cells)) < len(cells) for cell, cells in zip(first, columns, strict=True)
    )


def _names(rows: list[list[str]]) -> tuple[str, ...]:
    """Names for the columns of a file without a header: `text` for the longest, `label` for one other."""
    width = len(rows[0])
    words = [sum(len(row[at].split()) for row in rows if at < len(row)) for at in range(width)]
    longest = words.index(max(words))
    others = "label" if width == 2 else "column_{}"
    return tuple("text" if at == longest else others.format(at + 1) for at in range(width))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _json(file: Path) -> Peeked:
    with open_text(file, file.name) as text:
        start = text.read(SAMPLED_ROWS).lstrip()
    if start.startswith("["):
        return _json_array(file)
    rows: list[dict[str, Any]] = []
    with open_text(file, file.name) as text:
        for number, line in enumerate(itertools.islice(text, KEYED_ROWS), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                advice = advice_for(file, "Name the way to its records (docs/formats.md).")
                seen = "the line is not JSON"
                raise BadTable(Problem(seen, advice=advice, file=file.name, line=number)) from error
            if not isinstance(row, dict):
                seen, advice = "the line is no JSON object", advice_for(file, "")
                raise BadTable(Problem(seen, advice=advice, file=file.name, line=number))
            rows.append(row)
    return _of_dicts(file, rows, {})


def _json_array(file: Path) -> Peeked:
    with open_text(file, file.name) as text:
        try:
            found = json.load(text)
        except (ValueError, RecursionError) as error:
            raise BadTable(Problem("the file is not JSON", file=file.name)) from error
    if not all(isinstance(row, dict) for row in found):
        advice = "Name the way to its records: `format: json` and `records` (docs/formats.md)."
        raise BadTable(Problem("the array holds no objects", advice=advice, file=file.name))
    return _of_dicts(file, found, {"format": "json"})


def _of_dicts(file: Path, rows: list[dict[str, Any]], declared: Mapping[str, Any]) -> Peeked:
    if not rows:
        raise BadTable(Problem("the file has no rows", "at least one JSON object", file=file.name))
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    return Peeked(file=file, declared=declared, columns=columns, rows=tuple(rows[:SAMPLED_ROWS]))


def _read(reader: Any, file: Path, kind: str) -> pl.DataFrame:
    try:
        frame: pl.DataFrame = reader(file, n_rows=SAMPLED_ROWS)
    except (pl.exceptions.PolarsError, OSError) as error:
        seen = f"cannot be read as {kind}: truncated or damaged"
        raise UnreadableSource(Problem(seen, advice="Write or copy it again.", file=file.name)) from error
    return frame


def _read_arrow(file: Path, *, n_rows: int) -> pl.DataFrame:
    try:
        return pl.read_ipc(file, n_rows=n_rows)
    except pl.exceptions.ComputeError:
        return pl.read_ipc_stream(file, n_rows=n_rows)


def _table(file: Path, frame: pl.DataFrame, **declared: Any) -> Peeked:
    if frame.height == 0:
        raise BadTable(Problem("the file has no rows", "at least one row", file=file.name))
    rows = tuple(frame.head(SAMPLED_ROWS).to_dicts())
    return Peeked(file=file, declared=declared, columns=tuple(frame.columns), rows=rows)


def _excel(file: Path) -> Peeked:
    try:
        sheets = pl.read_excel(
            file, sheet_id=0, engine="calamine", infer_schema_length=0, raise_if_empty=False
        )
    except ImportError as error:
        seen = "Excel files are read by an engine that is not installed"
        advice = 'Install it: `pip install "headgate[excel]"`, or save the sheet as CSV.'
        raise UnreadableSource(Problem(seen, advice=advice, file=file.name)) from error
    except Exception as error:  # the engine raises types of its own for damaged and protected files
        seen = f"not a readable Excel file ({type(error).__name__})"
        raise UnreadableSource(Problem(seen, "an .xlsx or .xls file", file=file.name)) from error
    filled = {title: frame for title, frame in sheets.items() if frame.height}
    if not filled:
        raise BadTable(Problem("no sheet holds rows", "a header and at least one row", file=file.name))
    title = max(filled, key=lambda name: filled[name].height)
    if len(filled) == 1:
        return _table(file, filled[title])
    found = _table(file, filled[title], sheet=title)
    said = f"{file.name} has {len(filled)} sheets with rows; the one with most is taken: {title}"
    return Peeked(file=file, declared=found.declared, columns=found.columns, rows=found.rows, said=(said,))
