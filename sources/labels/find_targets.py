"""Find every head's target in a source's table: each distinct cell is read once, then joined back.

Does not know other sources. Cells themselves are read by `sources.labels.cells`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from model.bundle.texts import WHITE_SPACE
from model.spec import HeadSpec
from model.suggestions import did_you_mean
from sources.errors import BadCell, BadTable, DataError, Problem, one_of, quoted, raise_together
from sources.formats.locate import read_lines
from sources.formats.read import RawSource
from sources.formats.table import FILE, LINE, Table
from sources.labels.advice import pasted
from sources.labels.cells import CellError, CellReader, accepted, reaches, shares_of, truth
from sources.labels.doubts import BIT, joined_labels, whole_number
from sources.labels.target_codes import Target, TargetCodes
from sources.merge.identity import same_label
from sources.spec import SourceSpec, TargetSpec

Cells = tuple[str | None, ...]
"""One row's cells of the columns that a target is read from."""
Wrong = tuple[str, str, str, str | None]
"""What is wrong with a cell: seen, expected, advice, column."""
ReadRow = Callable[[Cells], tuple[Target | None, int]]
"""From one row's cells to their target, None = unlabelled, and their doubts (`sources.labels.doubts.BIT`)."""

_FLAGS = frozenset(("0", "1", "true", "false"))
MAX_PROBLEMS = 5
"""Kinds of bad cells named for one head of one source, each with all its rows."""


@dataclass(frozen=True, slots=True)
class TargetColumns:
    """Names of the columns that one head adds to a source's rows."""

    target: str
    """int32 code of the head's `TargetCodes`; null = unlabelled."""
    count: str
    """int32 number of labels in a labelled cell; null = unlabelled."""
    unknown_label: str
    """The first label of the cell that the head does not have; null = none."""
    doubt: str
    """int32 sum of the `sources.labels.doubts.BIT`s of how the cell was read; null or 0 = none."""

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Column → its type, in the order of the fields."""
        kinds = (pl.Int32(), pl.Int32(), pl.String(), pl.Int32())
        return dict(zip((self.target, self.count, self.unknown_label, self.doubt), kinds, strict=True))


def columns_of(head: str) -> TargetColumns:
    """The columns of `head`."""
    return TargetColumns(f"target:{head}", f"count:{head}", f"unknown_label:{head}", f"doubt:{head}")


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
        columns = target.source_columns
        distinct = frame.select(columns).unique(maintain_order=True)
        try:
            if target.columns is not None:
                read = _column_reader(target, raw.table, heads[head])
            elif target.answer is not None:
                read = _answer_reader(target, raw.table, heads[head], base, distinct[str(target.column)])
            else:
                read = _cell_reader(target, raw.table, heads[head], base, distinct.to_series())
            by_cells = _read(frame, distinct, read, head, heads[head], codes[head])
            frame = frame.join(by_cells, on=columns, how="left", nulls_equal=True, maintain_order="left")
        except DataError as error:
            errors.append(error.of_source(raw.name, head))
    raise_together(errors)
    return frame


def _read(
    frame: pl.DataFrame, distinct: pl.DataFrame, read: ReadRow, head: str, spec: HeadSpec, codes: TargetCodes
) -> pl.DataFrame:
    """The distinct cells with the head's columns.

    Raises:
        BadCell: cells that cannot be read.
    """
    known = frozenset(map(same_label, spec.labels))
    found: list[tuple[int | None, int | None, str | None, int]] = []
    bad: dict[Wrong, list[Cells]] = {}
    for cells in distinct.iter_rows():
        try:
            target, doubts = read(cells)
        except CellError as error:
            bad.setdefault((error.seen, error.expected, error.advice, error.column), []).append(cells)
            continue
        if target is None:
            found.append((None, None, None, doubts))
            continue
        unknown = None
        if known and not known.issuperset(target.positives):
            target, doubts, unknown = _as_listed(target, doubts, known)
        usable = unknown is None and (spec.kind == "multilabel" or len(target.positives) == 1)
        found.append((codes.code(target) if usable else None, len(target.positives), unknown, doubts))
    if bad:
        raise BadCell(
            *(
                problem
                for wrong, of_kind in list(bad.items())[:MAX_PROBLEMS]
                for problem in _rows_of(frame, distinct.columns, of_kind, wrong)
            )
        )
    return distinct.hstack(pl.DataFrame(found, schema=columns_of(head).schema, orient="row"))


def _as_listed(target: Target, doubts: int, known: frozenset[str]) -> tuple[Target, int, str | None]:
    """The target in the spelling of the labels that the head lists, and the first label that is none of
    them."""
    same = {}
    for label in target.positives:
        if label not in known and (whole := whole_number(label)) in known:
            same[label] = str(whole)
    unknown = next((label for label in target.positives if label not in known and label not in same), None)
    if unknown is not None and unknown in joined_labels([unknown], known):
        doubts |= BIT["joined_labels"]
    return target.renamed(same), doubts | (BIT["number_spellings"] if same else 0), unknown


def _cell_reader(
    target: TargetSpec, table: Table, spec: HeadSpec, base: Path, distinct: pl.Series
) -> ReadRow:
    """How one cell of a head's single column is read.

    Raises:
        BadCell: the cells are lists of flags whose positions have no names.
    """
    reader = CellReader(
        target=target,
        is_list=target.column in table.lists,
        multilabel=spec.kind == "multilabel",
        lines=read_lines(target.labels_file, base) if target.labels_file is not None else (),
    )
    if (cell := _cell_of_flags(reader, distinct, frozenset({*spec.labels, *target.map}))) is not None:
        raise BadCell(_first_place(table.frame, [str(target.column)], (cell,), _unnamed(reader, cell, spec)))

    def read(cells: Cells) -> tuple[Target | None, int]:
        labels, doubts = reader.read(cells[0])
        return (None if labels is None else Target(labels)), doubts

    return read


def _cell_of_flags(reader: CellReader, distinct: pl.Series, meant: frozenset[str]) -> str | None:
    """The first cell of a column whose lists are flags or scores, not labels; None where they are labels.

    A list that holds a flag twice, or a number between 0 and 1, can only be such; so are lists of nothing
    else than flags in the whole column, unless the configuration names them as labels (`meant`).
    """
    target = reader.target
    one_label = not reader.is_list and target.encoding in ("auto", "label")
    if one_label or target.names or target.threshold is not None:
        return None
    first, shares, certain, others = None, 0, False, 0
    for cell in distinct:
        if not cell:
            continue
        try:
            pieces, _ = reader.pieces(cell)
        except CellError:
            continue
        if (found := shares_of(pieces)) and not meant.issuperset(pieces):
            shares, first = shares + 1, cell if first is None else first
            certain |= len(set(found)) < len(found) or any(share not in (0, 1) for share in found)
        elif len(pieces) > 1 or not _FLAGS.issuperset(pieces):  # one flag alone tells nothing
            others += 1
    if certain and shares >= others:
        return first
    return first if not others and not reader.lines else None


def _unnamed(reader: CellReader, cell: str, spec: HeadSpec) -> CellError:
    """What to say of flags whose positions have no names."""
    shares = shares_of(reader.pieces(cell)[0])
    known = spec.labels or reader.lines
    names = known if len(known) == len(shares) else [f"LABEL_{at}" for at in range(1, len(shares) + 1)]
    changes: dict[str, object] = {"names": tuple(names)}
    what = "flags (0 and 1), which say"
    if any(share not in (0, 1) for share in shares):
        what, changes["threshold"] = "scores, which say", 0.5
    return CellError(
        f"a list of {len(shares)} {what} by position which labels apply",
        "labels, or the names of the positions",
        f"Name the positions: {pasted(reader.target, **changes)}, in their order; if the numbers are labels "
        "themselves, list them in the head's `labels`.",
    )


def _column_reader(target: TargetSpec, table: Table, spec: HeadSpec) -> ReadRow:
    """How one row of a head's 0/1 columns is read.

    Raises:
        BadTable: the columns do not fit the head's labels, or hold lists.
    """
    names = target.label_of
    written = {same_label(k): same_label(v) for k, v in target.map.items()}
    dropped = set(map(same_label, target.drop))
    unknown_words = {word.strip(WHITE_SPACE) for word in target.missing}
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

    def known(cell: str | None) -> bool | None:
        return truth(cell) if target.threshold is None else reaches(cell, target.threshold)

    def read(cells: Cells) -> tuple[Target | None, int]:
        positives, missing, any_known = [], [], False
        for column, label, cell in zip(names, labels, cells, strict=True):
            try:
                value = None if cell and cell.strip(WHITE_SPACE) in unknown_words else known(cell)
            except CellError as error:
                raise CellError(error.seen, error.expected, error.advice, column=column) from error
            if label in dropped:
                continue
            any_known |= value is not None
            if value is None:
                missing.append(label)
            elif value:
                positives.append(label)
        if not any_known or (spec.kind == "multiclass" and missing and not positives):
            return None, 0
        if spec.kind == "multiclass":
            return Target(tuple(sorted(positives))), 0
        return Target(tuple(sorted(positives)), tuple(sorted(missing)), covered), 0

    return read


def _answer_reader(
    target: TargetSpec, table: Table, spec: HeadSpec, base: Path, distinct: pl.Series
) -> ReadRow:
    """How one row of a label and the answer to it is read: nothing is known of the other labels."""
    label_of = _cell_reader(replace(target, answer=None), table, spec, base, distinct.unique())
    found: set[str] = set(map(same_label, spec.labels))
    for cell in distinct.unique():
        try:
            found.update((label_of((cell,))[0] or Target(())).positives)
        except CellError:  # told where it stands
            continue
    covered = tuple(sorted(found))

    def read(cells: Cells) -> tuple[Target | None, int]:
        given, doubts = label_of(cells[:1])
        yes = accepted(cells[1], str(target.answer))
        if given is None or yes is None:
            return None, doubts
        if spec.kind == "multiclass":
            return (given if yes else None), doubts
        missing = tuple(label for label in covered if label not in given.positives)
        return Target(given.positives if yes else (), missing, covered), doubts

    return read


def _rows_of(
    frame: pl.DataFrame, columns: Sequence[str], cells: Sequence[Cells], wrong: Wrong
) -> list[Problem]:
    """The problem with some cells, at every row that holds one of them."""
    seen, expected, advice, column = wrong
    bad = pl.DataFrame(cells, schema=dict.fromkeys(columns, pl.String), orient="row")
    found = frame.join(bad, on=list(columns), how="semi", nulls_equal=True, maintain_order="left")
    named = columns[0] if len(columns) == 1 else column
    return [
        Problem(seen, expected, advice, file=file, line=line, column=named)
        for file, line in found.select(FILE, LINE).iter_rows()
    ]


def _first_place(frame: pl.DataFrame, columns: Sequence[str], cells: Cells, error: CellError) -> Problem:
    """The problem with some cells, at the first row that holds them."""
    return _rows_of(frame, columns, [cells], (error.seen, error.expected, error.advice, error.column))[0]
