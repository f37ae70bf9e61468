"""All rows of one file, and what its columns may be."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sources.formats.exports.answers import NOTHING_CHOSEN
from sources.formats.exports.read import read_export
from sources.formats.read import read_source
from sources.formats.table import Wanted
from sources.formats.text_file import open_text
from sources.look.columns import Column, guess_columns
from sources.look.peek import Peeked
from sources.merge.identity import identity
from sources.spec import ExportFormat, SourceSpec, TargetSpec

SEVERAL_ROWS = 0.1
"""Share of the texts with rows of different labels from which each row is taken for one of several labels."""
SOME_TEXTS = 2_000
"""Texts that are kept to tell how long they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedAt:
    """One file, with what its columns may be."""

    peeked: Peeked
    text: str
    columns: tuple[Column, ...]
    rows: int
    one_label_a_row: frozenset[str] = frozenset()
    """Columns in which a text has several rows with different labels."""
    texts: tuple[str, ...] = ()
    """Some of the texts, to tell how long they are."""


def look_at(peeked: Peeked, text: str, heads: Collection[str] = ()) -> LookedAt:
    """All rows of a file, and what its columns may be.

    Args:
        heads: columns that are known to hold a head's labels.

    Raises:
        DataError: it cannot be read.
    """
    if peeked.is_export:
        return _look_at_export(peeked)
    others = tuple(column for column in peeked.columns if column != text and _readable(peeked, column))
    if "format" in peeked.declared:
        frame, lists = _of_json(peeked.file, text, others)
    else:
        spec = SourceSpec(path=peeked.file.name, text=text, keep=others, **peeked.declared)
        table = read_source("file", spec, peeked.file.parent, lambda rows: None).table
        frame, lists = table.frame, table.lists
    columns = guess_columns(frame, lists, text, heads)
    plain = [c.name for c in columns if c.role == "head" and c.kind == "multiclass" and c.target.column]
    return LookedAt(
        peeked=peeked,
        text=text,
        columns=tuple(columns),
        rows=frame.height,
        one_label_a_row=frozenset(name for name in plain if _several_rows(frame, text, name)),
        texts=tuple(frame[text].drop_nulls().head(SOME_TEXTS).to_list()),
    )


def _readable(peeked: Peeked, column: str) -> bool:
    """Whether the readers take a column: no objects, and lists in all cells or in none."""
    kinds = {type(row[column]) for row in peeked.rows if row.get(column) is not None}
    if kinds == {list}:
        items = {type(item) for row in peeked.rows for item in row.get(column) or ()}
        return items <= {str, int, bool}
    return kinds <= ({str, int, bool, float} if "format" in peeked.declared else {str, int, bool})


def _of_json(file: Path, text: str, others: Sequence[str]) -> tuple[pl.DataFrame, frozenset[str]]:
    """The objects of a JSON array as a table of strings, and its columns of lists."""
    with open_text(file, file.name) as opened:
        rows = json.load(opened)
    lists = {c for c in others if any(isinstance(row.get(c), list) for row in rows)}
    columns = {c: [_as_string(row.get(c)) for row in rows] for c in (text, *others)}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)), frozenset(lists)


def _as_string(cell: Any) -> str | None:
    return cell if cell is None or isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)


def _several_rows(frame: pl.DataFrame, text: str, column: str) -> bool:
    labelled = frame.filter(
        pl.col(text).is_not_null() & pl.col(column).is_not_null() & (pl.col(column) != "")
    )
    by_text = labelled.group_by(identity(pl.col(text))).agg(pl.col(column).n_unique().alias("n"))
    return by_text.height > 0 and (by_text["n"] > 1).sum() / by_text.height >= SEVERAL_ROWS


def _look_at_export(peeked: Peeked) -> LookedAt:
    format: ExportFormat = peeked.declared["format"]
    wanted = Wanted(text="text", columns=("text",), must_exist=frozenset({"text"}))
    labels: dict[str, Counter[str]] = {}
    several: set[str] = set()
    rows, texts = 0, []
    for _, table in read_export(peeked.file, peeked.file.name, format, wanted, None):
        rows += table.frame.height
        texts += table.frame["text"].drop_nulls().head(SOME_TEXTS).to_list()
        for question, flags in table.questions.items():
            counts = labels.setdefault(question, Counter())
            if flags:
                several.add(question)
                counts.update(dict.fromkeys(flags, 0))
                continue
            for cell, count in table.frame[question].drop_nulls().value_counts().iter_rows():
                chosen = [] if cell == NOTHING_CHOSEN else json.loads(cell)
                counts.update(dict.fromkeys(chosen, count))
                if len(chosen) > 1:
                    several.add(question)
    columns = [
        Column(
            name=question,
            role="head",
            why="a question of the labelling tool",
            kind="multilabel" if question in several else "multiclass",
            target=TargetSpec(column=question),
            labels=counts,
        )
        for question, counts in labels.items()
    ]
    return LookedAt(peeked=peeked, text="text", columns=tuple(columns), rows=rows, texts=tuple(texts))
