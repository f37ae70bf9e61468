"""Find every head's target in a source's table: each distinct cell is read once, then joined back.

Does not know other sources. Cells themselves are read by `sources.labels.cells`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from model.spec import HeadSpec
from sources.errors import BadCell, BadTable, DataError, Problem, nearest, raise_together, shown
from sources.formats.locate import read_lines
from sources.formats.read import RawSource, target_columns, target_spec
from sources.formats.table import FILE, LINE
from sources.labels.answers import Answer, AnswerBook
from sources.labels.cells import CellError, CellReader, truth
from sources.merge.identity import same_label
from sources.spec import SourceSpec, TargetSpec

ReadRow = Callable[[tuple[str | None, ...]], Answer | None]
"""From one row's cells of a head's columns to what they say; None = unlabelled."""

MAX_PROBLEMS = 5
"""Bad cells named for one head of one source."""


@dataclass(frozen=True, slots=True)
class TargetColumns:
    """Names of the columns that one head adds to a source's rows."""

    answer: str
    """int32 number in the head's `AnswerBook`; null = unlabelled."""
    count: str
    """int32 number of labels in a labelled cell; null = unlabelled."""
    unknown: str
    """The first label of the cell that the head does not have; null = none."""


def columns_of(head: str) -> TargetColumns:
    """The columns of `head`."""
    return TargetColumns(f"answer:{head}", f"count:{head}", f"stranger:{head}")


def find_targets(
    raw: RawSource, spec: SourceSpec, heads: dict[str, HeadSpec], books: dict[str, AnswerBook], base: Path
) -> pl.DataFrame:
    """The source's table with `TargetColumns` for each head that it labels.

    A cell with a label that the head does not have, and a multiclass cell with none or several labels,
    has a count but no answer: it is unlabelled in the dataset and stays a finding.

    Raises:
        DataError: cells that cannot be read; the first few of each head are named with their line.
    """
    frame = raw.table.frame
    errors: list[DataError] = []
    for head, target in spec.heads.items():
        if head not in heads:
            errors.append(
                BadTable(
                    Problem(source=raw.name, head=head, seen="no such head", advice=nearest(head, heads))
                )
            )
            continue
        try:
            frame = _find(frame, raw, target_spec(target), head, heads[head], books[head], base)
        except DataError as error:
            errors.append(
                type(error)(*(replace(p, source=raw.name, head=p.head or head) for p in error.problems))
            )
    raise_together(errors)
    return frame


def _find(
    frame: pl.DataFrame,
    raw: RawSource,
    target: TargetSpec,
    head: str,
    spec: HeadSpec,
    book: AnswerBook,
    base: Path,
) -> pl.DataFrame:
    sources = list(target_columns(target))
    distinct = frame.select(sources).unique(maintain_order=True)
    if target.columns is not None:
        read = _column_reader(target, raw, head, spec)
    else:
        read = _cell_reader(target, raw, spec, base)
    known = frozenset(map(same_label, spec.labels))
    answers: list[int | None] = []
    counts: list[int | None] = []
    strangers: list[str | None] = []
    bad: list[tuple[tuple[str | None, ...], CellError]] = []
    for row in distinct.iter_rows():
        try:
            answer = read(row)
        except CellError as error:
            if len(bad) < MAX_PROBLEMS:
                bad.append((row, error))
            continue
        stranger = next((p for p in answer.positives if p not in known), None) if answer and known else None
        whole = answer is not None and (spec.kind == "multilabel" or len(answer.positives) == 1)
        answers.append(book.number(answer) if answer is not None and whole and stranger is None else None)
        counts.append(None if answer is None else len(answer.positives))
        strangers.append(stranger)
    if bad:
        raise BadCell(*(_place(frame, sources, row, error, raw, head) for row, error in bad))
    names = columns_of(head)
    found = distinct.with_columns(
        pl.Series(names.answer, answers, dtype=pl.Int32),
        pl.Series(names.count, counts, dtype=pl.Int32),
        pl.Series(names.unknown, strangers, dtype=pl.String),
    )
    return frame.join(found, on=sources, how="left", nulls_equal=True, maintain_order="left")


def _cell_reader(target: TargetSpec, raw: RawSource, spec: HeadSpec, base: Path) -> ReadRow:
    """How one cell of a head's single column is read: a function from it to an answer."""
    cells = CellReader(
        target=target,
        is_list=target.column in raw.table.lists,
        multilabel=spec.kind == "multilabel",
        lines=read_lines(target.labels_file, base) if target.labels_file is not None else (),
    )

    def read(row: tuple[str | None, ...]) -> Answer | None:
        labels = cells.labels(row[0])
        return None if labels is None else Answer(labels)

    return read


def _column_reader(target: TargetSpec, raw: RawSource, head: str, spec: HeadSpec) -> ReadRow:
    """How one row of a head's 0/1 columns is read: a function from its cells to an answer."""
    names = dict(target.columns) if isinstance(target.columns, dict) else {c: c for c in target.columns or ()}
    written = {same_label(k): same_label(v) for k, v in target.map.items()}
    dropped = set(map(same_label, target.drop))
    labels = [written.get(same_label(label), same_label(label)) for label in names.values()]
    asked = tuple(sorted({label for label in labels if label not in dropped}))
    problems = []
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        problems.append(f"two columns for the label {shown(twice[0])}")
    if lists := sorted(raw.table.lists & set(names)):
        problems.append(f"the column {lists[0]!r} holds lists")
    if spec.labels and (strangers := [label for label in asked if label not in map(same_label, spec.labels)]):
        problems.append(
            f"a column for the label {shown(strangers[0])}, which the head does not list. "
            + nearest(strangers[0], spec.labels)
        )
    if problems:
        raise BadTable(
            *(
                Problem(source=raw.name, head=head, seen=seen, expected="one 0/1 column a label")
                for seen in problems
            )
        )

    def read(row: tuple[str | None, ...]) -> Answer | None:
        positives, missing, any_known = [], [], False
        for column, label, cell in zip(names, labels, row, strict=True):
            try:
                value = truth(cell)
            except CellError as error:
                raise CellError(error.seen, error.expected, column=column) from error
            if label in dropped:
                continue
            if value is None:
                missing.append(label)
            else:
                any_known = True
                if value:
                    positives.append(label)
        if not any_known or (spec.kind == "multiclass" and missing and not positives):
            return None
        if spec.kind == "multiclass":
            return Answer(tuple(sorted(positives)))
        return Answer(tuple(sorted(positives)), tuple(sorted(missing)), asked)

    return read


def _place(
    frame: pl.DataFrame,
    columns: list[str],
    cells: tuple[str | None, ...],
    error: CellError,
    raw: RawSource,
    head: str,
) -> Problem:
    """Where a bad cell first stands."""
    same = pl.all_horizontal(
        pl.col(column).eq_missing(pl.lit(cell, dtype=pl.String))
        for column, cell in zip(columns, cells, strict=True)
    )
    first = frame.filter(same).row(0, named=True)
    return Problem(
        source=raw.name,
        file=first[FILE],
        line=first[LINE],
        column=columns[0] if len(columns) == 1 else error.column,
        head=head,
        seen=error.seen,
        expected=error.expected,
        advice=error.advice,
    )
