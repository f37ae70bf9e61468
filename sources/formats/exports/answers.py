"""What a labelling tool's file holds: texts, and what people answered about them, as one table.

A reader of a tool gives an `Export`; this module makes a `Table` of it. Does not know any tool, nor which
head asks which question (`sources.formats.exports.questions`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from model.suggestions import did_you_mean
from sources.errors import BadCell, BadTable, Problem, one_of
from sources.formats.jsonl import HALF_A_PAIR, JsonNumber, whole_characters
from sources.formats.table import ANNOTATOR, LINE, Table, Wanted

Chosen = tuple[str, ...]
"""The labels that were chosen out of all; empty: none was, which may mean that none applies or that nobody
looked."""
Flags = Mapping[str, bool | str]
"""Label → whether it applies, or its score; nothing is known of the others."""

NONE_APPLIES: Chosen = ("",)
"""Somebody looked, and no label applies."""
NOTHING_CHOSEN = ""
"""The cell of a text for which no label was chosen, where the file does not say whether none applies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One text with the answers of one person, or with none."""

    line: int
    """Physical line, or number of the item in the file, from 1."""
    text: str | None
    answers: Mapping[str, Chosen | Flags] = field(default_factory=dict)
    """Question → what was answered. A question that is not there was not answered."""
    annotator: str | None = None
    """Who answered, as the tool calls them."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """What else stands beside the text: for filters, groups and slices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What one file holds."""

    rows: Sequence[Answered]
    questions: Iterable[str]
    """Every question of the file, also those that nobody answered."""
    notes: Counter[str] = field(default_factory=Counter)
    """What was not read as a label, in words → how often."""


def export_table(export: Export, wanted: Wanted, name: str) -> Table:
    """The export as a table: the text under its wanted name, `ANNOTATOR`, for each question a column of
    lists or a 0/1 column a label, and what else stands beside the texts, as strings.

    Raises:
        BadTable: no rows, or a question that has the name of the text's column.
        BadCell: a question is answered by labels in some rows and by flags in others.
    """
    rows = export.rows if wanted.limit is None else export.rows[: wanted.limit]
    if not rows:
        raise BadTable(Problem("the file has no items", "at least one", file=name))
    columns = {
        LINE: pl.Series([row.line for row in rows], dtype=pl.Int64),
        wanted.text: _strings([row.text for row in rows], rows, name),
        ANNOTATOR: _strings([row.annotator for row in rows], rows, name),
    }
    questions: dict[str, tuple[str, ...]] = {}
    for question in dict.fromkeys(export.questions):
        if question == wanted.text:
            seen = f"the question {question!r} has the name of the text's column"
            raise BadTable(Problem(seen, "two names", "Rename the question in the tool.", file=name))
        made, questions[question] = _columns_of(question, rows, name)
        columns |= made
    for other in dict.fromkeys(key for row in rows for key in row.others):
        column = plain_column(other) if other in questions else other
        if column not in columns:
            cells = [_as_text(row.others.get(other)) for row in rows]
            columns[column] = _strings(cells, rows, name)
    lists = frozenset(question for question, labels in questions.items() if not labels)
    return Table(frame=pl.DataFrame(columns), lists=lists, questions=questions, notes=dict(export.notes))


def plain_column(question: str) -> str:
    """Name of the column with a question's answers as they stand in the file: for a filter or a group."""
    return f"{question}: as written"


def flag_column(question: str, label: str) -> str:
    """Name of the 0/1 column of one label of a question."""
    return f"{question}: {label}"


def _columns_of(
    question: str, rows: Sequence[Answered], name: str
) -> tuple[dict[str, pl.Series], tuple[str, ...]]:
    """The columns of one question, and the labels that have one of their own."""
    answers = [row.answers.get(question) for row in rows]
    flags = [answer for answer in answers if isinstance(answer, Mapping)]
    if not flags:
        cells = [None if answer is None else _cell(answer) for answer in answers]  # type: ignore[arg-type]
        return {question: _strings(cells, rows, name)}, ()
    for row, answer in zip(rows, answers, strict=True):
        if isinstance(answer, tuple):
            seen = "labels were chosen here, and other items hold yes or no for each label"
            advice = "Export the two kinds of task as two files."
            raise BadCell(Problem(seen, "one kind", advice, file=name, line=row.line, column=question))
    labels = tuple(sorted({label for answer in flags for label in answer}))
    if not labels:
        return {question: pl.Series([None] * len(rows), dtype=pl.String)}, ()
    known = [answer if isinstance(answer, Mapping) else {} for answer in answers]
    return {
        flag_column(question, label): pl.Series([_flag(one.get(label)) for one in known], dtype=pl.String)
        for label in labels
    }, labels


def _flag(answer: bool | str | None) -> str | None:
    return str(int(answer)) if isinstance(answer, bool) else answer


def _strings(cells: list[str | None], rows: Sequence[Answered], name: str) -> pl.Series:
    """The cells of one column.

    Raises:
        BadCell: half of a surrogate pair, which no text in UTF-8 can hold.
    """
    try:
        return pl.Series(cells, dtype=pl.String)
    except UnicodeEncodeError:
        odd = (row for row, cell in zip(rows, cells, strict=True) if cell != whole_characters(cell))
        raise BadCell(Problem(*HALF_A_PAIR, file=name, line=next(odd).line)) from None


def _cell(answer: Chosen) -> str:
    if answer == NONE_APPLIES:
        return "[]"
    return json.dumps(answer, ensure_ascii=False) if answer else NOTHING_CHOSEN


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    return json.dumps(value, ensure_ascii=False)


def label_text(value: Any) -> str | None:
    """A label as the file writes it: strings, numbers and booleans; None for what is no label."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # numbers too: they are kept as written
        return str(value)
    return str(value) if isinstance(value, int | float) else None


def labels_in(value: Any, at: Problem) -> Chosen:
    """The labels in a list, or the only one, sorted, each once; a missing or empty one is none.

    Args:
        at: the place, for messages.

    Raises:
        BadCell: something in it is no label.
    """
    items = value if isinstance(value, list) else [value]
    found = [label_text(item) for item in items if item is not None and item != ""]
    if None in found:
        what = "an object" if any(isinstance(item, dict) for item in items) else "a list"
        raise BadCell(_with(at, f"the answer holds {what}", "labels: strings or numbers"))
    return tuple(sorted({label for label in found if label is not None}))


def text_of(value: Any, at: Problem) -> str | None:
    """The text in a field; an empty one is missing.

    Raises:
        BadCell: it is no string.
    """
    if value is None or value == "":
        return None
    if isinstance(value, JsonNumber) or not isinstance(value, str):
        raise BadCell(_with(at, "the text is no string", "a string or null"))
    return value


def text_key(items: Sequence[Mapping[str, Any]], asked: str, name: str, *, only_data: bool = False) -> str:
    """The key that holds the texts: `asked` or, where that is the default `text` and no item has it, the only
    key that holds strings in every item.

    Args:
        only_data: the items hold nothing but what was to be labelled, so that the second rule can be meant.

    Raises:
        BadTable: there is no such key, or several may be meant.
    """
    keys = list(dict.fromkeys(key for item in items for key in item))
    if asked in keys:
        return asked
    whole = [key for key in keys if all(type(item.get(key)) is str for item in items)]
    if only_data and asked == "text" and len(whole) == 1:
        return whole[0]
    seen = f"no item has a text under {asked!r}{did_you_mean(asked, keys)}"
    raise BadTable(Problem(seen, one_of(keys), "Name the key that holds it in `text`.", file=name))


def _with(at: Problem, seen: str, expected: str) -> Problem:
    return Problem(seen, expected, at.advice, file=at.file, line=at.line, column=at.column)
