"""Find every head's target in a source's table: each distinct cell is read once, then joined back.

Does not know other sources. Cells themselves are read by `sources.labels.cells`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from model.spec import HeadSpec
from model.suggestions import did_you_mean
from sources.errors import BadCell, BadTable, DataError, Problem, one_of, quoted, raise_together
from sources.formats.locate import read_lines
from sources.formats.read import RawSource
from sources.formats.table import FILE, LINE, Table
from sources.labels.cells import CellError, CellReader, truth
from sources.labels.target_codes import Target, TargetCodes
from sources.merge.identity import same_label
from sources.spec import SourceSpec, TargetSpec

Cells = tuple[str | None, ...]
"""One row's cells of the columns that a target is read from."""
ReadRow = Callable[[Cells], Target | None]
"""From one row's cells to their target; None = unlabelled."""

MAX_PROBLEMS = 5
"""Bad cells named for one head of one source."""


@dataclass(frozen=True, slots=True)
class TargetColumns:
    """Names of the columns that one head adds to a source's rows."""

    target: str
    """int32 code of the head's `TargetCodes`; null = unlabelled."""
    count: str
    """int32 number of labels in a labelled cell; null = unlabelled."""
    unknown_label: str
    """The first label of the cell that the head does not have; null = none."""


def columns_of(head: str) -> TargetColumns:
    """The columns of `head`."""
    return TargetColumns(f"target:{head}", f"count:{head}", f"unknown_label:{head}")


def find_targets(
    raw: RawSource,
    spec: SourceSpec,
    heads: Mapping[str, HeadSpec],
    codes: Mapping[str, TargetCodes],
    base: Path,
) -> pl.DataFrame:
    """The source's table with `TargetColumns` for each head that it labels.

    A cell with a label that the head does not have, and a multiclass cell with none or several labels,
    has a count but no target: it is unlabelled in the dataset and stays a finding.

    Args:
        heads: the project's; those that the source labels are among them.
        codes: head → its codes; new targets are added.
        base: what a relative `labels_file` starts from.

    Raises:
        DataError: cells that cannot be read; the first few of each head are named with their line.
    """
    frame = raw.table.frame
    errors: list[DataError] = []
    for head, target in spec.targets.items():
        try:
            if target.columns is not None:
                read = _column_reader(target, raw.table, heads[head])
            else:
                read = _cell_reader(target, raw.table, heads[head], base)
            frame = _joined(frame, target.source_columns, read, head, heads[head], codes[head])
        except DataError as error:
            errors.append(error.of_source(raw.name, head))
    raise_together(errors)
    return frame


def _joined(
    frame: pl.DataFrame, columns: Sequence[str], read: ReadRow, head: str, spec: HeadSpec, codes: TargetCodes
) -> pl.DataFrame:
    """`frame` with the `TargetColumns` of one head, which is read from `columns`."""
    distinct = frame.select(columns).unique(maintain_order=True)
    known = frozenset(map(same_label, spec.labels))
    found: list[tuple[int | None, int | None, str | None]] = []
    problems: list[Problem] = []
    for cells in distinct.iter_rows():
        try:
            target = read(cells)
        except CellError as error:
            if len(problems) < MAX_PROBLEMS:
                problems.append(_first_place(frame, columns, cells, error))
            continue
        if target is None:
            found.append((None, None, None))
            continue
        unknown = next((label for label in target.positives if label not in known), None) if known else None
        usable = unknown is None and (spec.kind == "multilabel" or len(target.positives) == 1)
        found.append((codes.code(target) if usable else None, len(target.positives), unknown))
    if problems:
        raise BadCell(*problems)
    names = columns_of(head)
    schema = {names.target: pl.Int32, names.count: pl.Int32, names.unknown_label: pl.String}
    by_cells = distinct.hstack(pl.DataFrame(found, schema=schema, orient="row"))
    return frame.join(by_cells, on=columns, how="left", nulls_equal=True, maintain_order="left")


def _cell_reader(target: TargetSpec, table: Table, spec: HeadSpec, base: Path) -> ReadRow:
    """How one cell of a head's single column is read."""
    reader = CellReader(
        target=target,
        is_list=target.column in table.lists,
        multilabel=spec.kind == "multilabel",
        lines=read_lines(target.labels_file, base) if target.labels_file is not None else (),
    )

    def read(cells: Cells) -> Target | None:
        labels = reader.labels(cells[0])
        return None if labels is None else Target(labels)

    return read


def _column_reader(target: TargetSpec, table: Table, spec: HeadSpec) -> ReadRow:
    """How one row of a head's 0/1 columns is read.

    Raises:
        BadTable: the columns do not fit the head's labels, or hold lists.
    """
    names = target.label_of
    written = {same_label(k): same_label(v) for k, v in target.map.items()}
    dropped = set(map(same_label, target.drop))
    labels = [written.get(same_label(label), same_label(label)) for label in names.values()]
    covered = tuple(sorted({label for label in labels if label not in dropped}))
    listed = tuple(map(same_label, spec.labels))
    problems = []
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        problems.append(Problem(f"two columns for the label {quoted(twice[0])}", "one 0/1 column a label"))
    if lists := sorted(table.lists & set(names)):
        problems.append(Problem(f"the column {lists[0]!r} holds lists", "one 0/1 column a label"))
    if listed and (unknown := [label for label in covered if label not in listed]):
        near = did_you_mean(unknown[0], listed)
        seen = f"a column for the label {quoted(unknown[0])}, which the head does not list{near}"
        problems.append(Problem(seen, one_of(listed)))
    if problems:
        raise BadTable(*problems)

    def read(cells: Cells) -> Target | None:
        positives, missing, any_known = [], [], False
        for column, label, cell in zip(names, labels, cells, strict=True):
            try:
                value = truth(cell)
            except CellError as error:
                raise CellError(error.seen, error.expected, column=column) from error
            if label in dropped:
                continue
            any_known |= value is not None
            if value is None:
                missing.append(label)
            elif value:
                positives.append(label)
        if not any_known or (spec.kind == "multiclass" and missing and not positives):
            return None
        if spec.kind == "multiclass":
            return Target(tuple(sorted(positives)))
        return Target(tuple(sorted(positives)), tuple(sorted(missing)), covered)

    return read


def _first_place(frame: pl.DataFrame, columns: Sequence[str], cells: Cells, error: CellError) -> Problem:
    """The problem with some cells, at the first row that holds them."""
    same = pl.all_horizontal(
        pl.col(column).eq_missing(pl.lit(cell, dtype=pl.String))
        for column, cell in zip(columns, cells, strict=True)
    )
    file, line = frame.filter(same).select(FILE, LINE).row(0)
    column = columns[0] if len(columns) == 1 else error.column
    return Problem(error.seen, error.expected, error.advice, file=file, line=line, column=column)
