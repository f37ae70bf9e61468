"""Combine the tables of a source's files into one, with the columns that stand in their paths
(`topic=animal/rows.csv`), and keep the rows that pass its filter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import unquote

import polars as pl

from sources.errors import MAX_PLACES, BadCell, BadTable, Problem
from sources.formats.locate import InputFile
from sources.formats.table import FILE, Table, Wanted

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""Folder name that Hive and Spark give rows without a value."""


def partition_of(file: InputFile, wanted: Wanted) -> dict[str, str | None]:
    """Wanted column → its value in the names of the folders that the file lies in; the text never does."""
    found: dict[str, str | None] = {}
    for part in file.path.parts[:-1]:
        column, equals, value = part.partition("=")
        if equals and column in wanted.columns and column != wanted.text:
            found[column] = None if value == NO_VALUE else unquote(value)
    return found


def with_partition(table: Table, values: Mapping[str, str | None]) -> Table:
    """The table with a column for each value."""
    columns = [pl.lit(value, dtype=pl.String).alias(column) for column, value in values.items()]
    return replace(table, frame=table.frame.with_columns(columns)) if columns else table


def combine(tables: Sequence[Table]) -> Table:
    """All parts of a source as one table.

    Raises:
        BadCell: a column holds lists in one file and plain cells in another.
    """
    lists = frozenset[str]().union(*(table.lists for table in tables))
    problems = []
    for column in sorted(lists):
        if any(_has_plain_cells(table, column) for table in tables):
            file = next(table.frame[FILE][0] for table in tables if column in table.lists)
            seen = "lists here, and plain cells in another file of the source"
            problems.append(Problem(seen, "one kind", file=file, column=column))
    if problems:
        raise BadCell(*problems)
    # Columns that only a filter looks at may differ in type between files.
    frame = pl.concat([table.frame for table in tables], how="diagonal_relaxed", rechunk=True)
    notes: Counter[str] = Counter()
    for table in tables:
        notes.update(table.notes)
    return Table(
        frame=frame, lists=lists, questions=_questions(tables), notes=dict(notes), said=_said(tables)
    )


def _said(tables: Sequence[Table]) -> tuple[str, ...]:
    """What is said of the files, once: with its file, or with how many and the first three."""
    files: dict[str, dict[str, None]] = {}
    for table in tables:
        file = str(table.frame[FILE][0]) if table.frame.height else ""
        for line in table.said:
            files.setdefault(line.removeprefix(f"{file}: "), {})[file] = None
    said = []
    for line, names in files.items():
        some = list(names)
        several = f"{len(some):,} files, first {', '.join(some[:MAX_PLACES])}"
        said.append(f"{some[0] if len(some) == 1 else several}: {line}")
    return tuple(said)


def _questions(tables: Sequence[Table]) -> dict[str, tuple[str, ...]]:
    """The questions of all files, each with all labels that have a column of their own.

    Raises:
        BadCell: a question holds flags in one file and lists in another.
    """
    found: dict[str, tuple[str, ...]] = {}
    for table in tables:
        for question, labels in table.questions.items():
            before = found.get(question, labels)
            if bool(before) != bool(labels):
                seen = "yes or no for each label here, and chosen labels in another file of the source"
                file = table.frame[FILE][0]
                raise BadCell(
                    Problem(seen, "one kind", "Make two sources of them.", file=file, column=question)
                )
            found[question] = tuple(sorted({*before, *labels}))
    return found


def _has_plain_cells(table: Table, column: str) -> bool:
    frame = table.frame
    return column in frame and column not in table.lists and frame[column].null_count() < frame.height


def filtered(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """The rows for which the SQL condition is true.

    Raises:
        BadTable: it is no condition on these columns, or no row passes.
    """
    try:
        kept = frame.filter(pl.sql_expr(where))
    except pl.exceptions.PolarsError as error:
        columns = [column for column in frame.columns if not column.startswith("__")]
        advice = (
            "Columns of text files are strings: write `CAST(length AS INT) > 3`. "
            f"Columns: {', '.join(columns[:20])}."
        )
        seen = f"`where: {where}` cannot be applied ({_without_values(error)})"
        raise BadTable(Problem(seen, "an SQL condition on this source's columns", advice)) from error
    if kept.height == 0:
        raise BadTable(Problem(f"no row passes `where: {where}`", "at least one row"))
    return kept


def _without_values(error: Exception) -> str:
    """The engine's first line, without the cells and inner columns that it lists."""
    return re.split(r";? valid columns:| in column '[^']*' for |: \[", str(error).splitlines()[0])[0][:200]
