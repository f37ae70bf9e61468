"""Combine the tables of a source's files into one, and keep the rows that pass its filter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import polars as pl

from sources.errors import BadCell, BadTable, Problem
from sources.formats.table import FILE, Table


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
    return Table(frame=frame, lists=lists, questions=_questions(tables), notes=dict(notes))


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
