"""Read one source, whatever its format, into one table of strings with file, line and given split.

Does not know how labels are written in cells (`sources.labels.find_targets`) nor other sources
(`sources.merge.join`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, assert_never

import polars as pl

from model.spec import SplitName
from model.suggestions import did_you_mean
from sources.errors import BadTable, DataError, Problem, one_of, raise_together
from sources.formats.columnar import read_arrow, read_parquet
from sources.formats.combine import combine, filtered, partition_of, with_partition
from sources.formats.delimited import Dialect, read_delimited
from sources.formats.excel import read_excel
from sources.formats.exports.guess import guessed_format
from sources.formats.exports.questions import settle_questions
from sources.formats.exports.read import read_export
from sources.formats.given_split import given_by_column, named_split
from sources.formats.headers import ANSWER_NAMES, answered_by, refuse_headers, settle_answers
from sources.formats.huggingface import HubDataset, read_hub, read_saved
from sources.formats.jsonl import read_jsonl
from sources.formats.locate import InputFile, locate
from sources.formats.table import ANNOTATOR, FILE, GIVEN, LINE, Table, Wanted
from sources.formats.text_file import refuse_if_changed
from sources.spec import SourceSpec

OnRows = Callable[[int], None]
"""Called with the number of rows of each part that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSource:
    """One source as read, before labels are looked at."""

    name: str
    table: Table
    """With `LINE`, `FILE` and `GIVEN`."""
    files: int
    rows_read: int
    """Rows before the source's `where`."""
    spec: SourceSpec
    """The source as declared, with what its files say of heads and columns themselves filled in."""
    said: tuple[str, ...] = ()
    """How the bytes were read where the configuration does not say it, and what was not read as a label."""


def read_source(
    name: str, spec: SourceSpec, base: Path, on_rows: OnRows, heads: Collection[str] = ()
) -> RawSource:
    """All rows of a source that pass its `where`, as strings.

    Args:
        name: the source's name in the configuration.
        spec: without `sources.spec.source_problems`.
        base: what relative paths start from.
        on_rows: called with the rows of each part read.
        heads: the project's, for files that say themselves which heads they label.

    Raises:
        DataError: see the readers; every problem carries the source's name.
    """
    try:
        return _read(name, spec, base, on_rows, heads)
    except DataError as error:
        raise error.of_source(name) from error


def _read(name: str, spec: SourceSpec, base: Path, on_rows: OnRows, heads: Collection[str]) -> RawSource:
    wanted = _wanted(spec)
    tables: list[Table] = []
    errors: list[DataError] = []
    if spec.hub is not None:
        tables += _hub_tables(spec.hub, spec, wanted)
    elif spec.sql is not None:
        from sources.formats.sql import read_sql  # most projects ask no database

        place = f"sql:{spec.connection}"
        tables.append(_placed(read_sql(spec.sql, str(spec.connection), place, wanted), place, spec.split))
        on_rows(tables[0].frame.height)
    else:
        paths = spec.path if isinstance(spec.path, dict) else {spec.split: spec.path}
        for given, path in paths.items():
            try:
                tables += _path_tables(str(path), given, spec, base, wanted, on_rows, errors)
            except DataError as error:
                errors.append(error)
    raise_together(errors)
    read = combine(tables)
    if spec.is_export:
        read, spec = settle_questions(read, spec, heads)
        wanted = _wanted(spec)
        _refuse_absent(read, wanted)
    frame = read.frame
    if spec.annotator is not None:
        frame = frame.with_columns(pl.col(spec.annotator).replace("", None).alias(ANNOTATOR))
    refuse_headers(frame, spec)
    answers = settle_answers(frame, spec)
    if spec.split_column is not None:
        frame = given_by_column(frame, spec.split_column, spec.split_map)
    if spec.where is not None:
        frame = filtered(frame, spec.where)
    return RawSource(
        name=name,
        table=Table(frame=frame.select(_columns(frame, wanted)), lists=read.lists),
        files=read.frame[FILE].n_unique() if spec.path is not None else 1,
        rows_read=read.frame.height,
        spec=spec,
        said=(
            *read.said,
            *(f"{what} ({count:,})" for what, count in sorted(read.notes.items()) if count),
            *answers,
        ),
    )


def _columns(frame: pl.DataFrame, wanted: Wanted) -> list[str]:
    """What is kept of a source's table."""
    places = [column for column in (LINE, FILE, GIVEN, ANNOTATOR) if column in frame]
    return [*places, *wanted.columns]


def _refuse_absent(table: Table, wanted: Wanted) -> None:
    """Refuse columns that a labelling tool's file does not have."""
    known = [column for column in table.frame.columns if not column.startswith("__")]
    absent = [column for column in wanted.columns if column not in known]
    if absent:
        raise BadTable(
            *(
                Problem(f"there is no such column{did_you_mean(c, known)}", one_of(known), column=c)
                for c in absent
            )
        )


def _wanted(spec: SourceSpec) -> Wanted:
    labels = [column for target in spec.targets.values() for column in target.source_columns]
    named = (spec.group, spec.split_column, spec.annotator, *spec.keep)
    others = [column for column in named if column is not None]
    # The first rows alone may lack a key of JSON lines that later ones have.
    must_exist = {spec.text, *others, *(() if spec.limit else labels)}
    return Wanted(
        text=spec.text,
        columns=tuple(dict.fromkeys([spec.text, *labels, *others])),
        must_exist=frozenset(must_exist),
        all_columns=spec.where is not None,
        limit=spec.limit,
        objects=frozenset(
            target.column
            for target in spec.targets.values()
            if target.column is not None and target.threshold is not None
        ),
        encoding=spec.encoding,
        scores=any(target.threshold is not None for target in spec.targets.values()),
        also=ANSWER_NAMES - {spec.text, *labels, *others},
    )


def _hub_tables(hub: str, spec: SourceSpec, wanted: Wanted) -> Iterator[Table]:
    """The splits of a hub dataset."""
    name = f"hub:{hub}"
    dataset = HubDataset(
        name=hub,
        config=spec.hub_config,
        revision=spec.revision,
        streaming=spec.streaming,
        data_files=_plain(spec.data_files),
        data_dir=spec.data_dir,
    )
    parts = list(read_hub(dataset, wanted))
    for split, table in parts:
        given = spec.split or named_split(split, spec.split_map, name, alone=len(parts) == 1)
        yield _placed(table, f"{name}[{split}]" if split else name, given)


def _plain(given: Any) -> Any:
    """`data_files` with lists, which the library expects, in place of tuples."""
    if isinstance(given, Mapping):
        return {split: _plain(files) for split, files in given.items()}
    return list(given) if isinstance(given, tuple) else given


def _path_tables(
    path: str,
    given: SplitName | None,
    spec: SourceSpec,
    base: Path,
    wanted: Wanted,
    on_rows: OnRows,
    errors: list[DataError],
) -> Iterator[Table]:
    """The files of one path, at most `spec.limit` rows in all; what is wrong with a file joins `errors`."""
    left = spec.limit
    for file in locate(path, spec.format, base):
        if left == 0:
            return
        try:
            in_path = partition_of(file, wanted)
            of_file = replace(
                wanted, limit=left, columns=tuple(c for c in wanted.columns if c not in in_path)
            )
            of_file = replace(of_file, must_exist=wanted.must_exist - set(in_path))
            parts = list(_read_file(file, spec, of_file, on_rows))
            for split, table in parts:
                left = None if left is None else left - table.frame.height
                table = with_partition(table, in_path)
                of_part = given or named_split(split, spec.split_map, file.name, alone=len(parts) == 1)
                yield _placed(table, file.name, of_part)
        except DataError as error:
            errors.append(error)


def _placed(table: Table, file: str, given: SplitName | None) -> Table:
    frame = table.frame.with_columns(pl.lit(file).alias(FILE), pl.lit(given, dtype=pl.String).alias(GIVEN))
    return replace(table, frame=frame)


def _read_file(
    file: InputFile, spec: SourceSpec, wanted: Wanted, on_rows: OnRows
) -> Iterator[tuple[str | None, Table]]:
    """(The split's name in the dataset, or None; its table) for each part of a file or saved folder."""
    if file.format == "saved":
        with ExitStack() as guarded:
            for inside in sorted(path for path in file.path.rglob("*") if path.is_file()):
                name = f"{file.name}/{inside.relative_to(file.path)}"
                guarded.enter_context(refuse_if_changed(inside, name))
            for split, table in read_saved(file.path, file.name, wanted):
                on_rows(table.frame.height)
                yield split, table
        return
    with refuse_if_changed(file.path, file.name):
        match file.format:
            case (
                "label_studio"
                | "doccano"
                | "prodigy"
                | "argilla"
                | "spacy"
                | "fasttext"
                | "label_text"
                | "json"
            ):
                records = spec.records
                for split, table in read_export(file.path, file.name, file.format, wanted, records):
                    on_rows(table.frame.height)
                    yield split, table
                return
            case "excel":
                table = read_excel(file.path, file.name, wanted, spec.sheet)
                on_rows(table.frame.height)
            case "csv" | "tsv":
                dialect = Dialect(
                    usual=("," if file.format == "csv" else "\t", file.format == "csv"),
                    delimiter=spec.delimiter,
                    quoting=spec.quoting,
                    header=spec.header,
                    names=spec.names,
                )
                table = read_delimited(file.path, file.name, wanted, dialect, on_rows)
            case "jsonl":
                table = _read_lines(file, spec, wanted, on_rows)
            case "parquet" | "arrow":
                read = read_parquet if file.format == "parquet" else read_arrow
                table = read(file.path, file.name, wanted)
                on_rows(table.frame.height)
            case _:
                assert_never(file.format)
    yield None, table


def _read_lines(file: InputFile, spec: SourceSpec, wanted: Wanted, on_rows: OnRows) -> Table:
    """A file of JSON lines. Where only its ending says that it is one, it may be that of a labelling tool.

    Raises:
        BadTable: it is, and cannot be read as lines; or Prodigy wrote it, whose rejected and ignored tasks
            would be read as labels.
    """
    guess = guessed_format(file.path) if spec.format == "auto" else None
    answered = any(target.answer is not None for target in spec.targets.values())
    if guess == "prodigy" and spec.where is None and not answered:
        seen = "tasks of Prodigy, of which some may be rejected or ignored"
        advice = f"Set `format: prodigy`; or `{answered_by(spec, 'answer')}`."
        raise BadTable(Problem(seen, "a format that says what they mean", advice, file=file.name, line=1))
    try:
        return read_jsonl(file.path, file.name, wanted, on_rows)
    except DataError as error:
        if guess is None:
            raise
        advice = f"It looks like `format: {guess}` (docs/formats.md): set it."
        raise BadTable(replace(error.problems[0], advice=advice)) from error
