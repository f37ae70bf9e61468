"""Read one source, whatever its format, into one table of strings with file, line and given split.

Does not know how labels are written in cells (`sources.labels.find_targets`) nor other sources
(`sources.merge.join`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

import polars as pl

from model.spec import SplitName
from sources.errors import DataError, raise_together
from sources.formats.columnar import read_arrow, read_parquet
from sources.formats.combine import combine, filtered, partition_of, with_partition
from sources.formats.delimited import Dialect, read_delimited
from sources.formats.given_split import given_by_column, named_split
from sources.formats.headers import refuse_headers
from sources.formats.huggingface import read_hub, read_saved
from sources.formats.jsonl import read_jsonl
from sources.formats.locate import InputFile, locate
from sources.formats.table import FILE, GIVEN, LINE, Table, Wanted
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
    said: tuple[str, ...] = ()
    """How the bytes were read where the configuration does not say it."""


def read_source(name: str, spec: SourceSpec, base: Path, on_rows: OnRows) -> RawSource:
    """All rows of a source that pass its `where`, as strings.

    Args:
        name: the source's name in the configuration.
        spec: without `sources.spec.source_problems`.
        base: what relative paths start from.
        on_rows: called with the rows of each part read.

    Raises:
        DataError: see the readers; every problem carries the source's name.
    """
    try:
        return _read(name, spec, base, on_rows)
    except DataError as error:
        raise error.of_source(name) from error


def _read(name: str, spec: SourceSpec, base: Path, on_rows: OnRows) -> RawSource:
    wanted = _wanted(spec)
    tables: list[Table] = []
    errors: list[DataError] = []
    if spec.hub is not None:
        tables += _hub_tables(spec.hub, spec, wanted)
    else:
        paths = spec.path if isinstance(spec.path, dict) else {spec.split: spec.path}
        for given, path in paths.items():
            try:
                tables += _path_tables(str(path), given, spec, base, wanted, on_rows, errors)
            except DataError as error:
                errors.append(error)
    raise_together(errors)
    read = combine(tables)
    frame = read.frame
    refuse_headers(frame, spec)
    if spec.split_column is not None:
        frame = given_by_column(frame, spec.split_column, spec.split_map)
    if spec.where is not None:
        frame = filtered(frame, spec.where)
    return RawSource(
        name=name,
        table=Table(frame=frame.select(LINE, FILE, GIVEN, *wanted.columns), lists=read.lists),
        files=1 if spec.hub is not None else read.frame[FILE].n_unique(),
        rows_read=read.frame.height,
        said=read.said,
    )


def _wanted(spec: SourceSpec) -> Wanted:
    labels = [column for target in spec.targets.values() for column in target.source_columns]
    others = [column for column in (spec.group, spec.split_column, *spec.keep) if column is not None]
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
    )


def _hub_tables(hub: str, spec: SourceSpec, wanted: Wanted) -> Iterator[Table]:
    """The splits of a hub dataset."""
    name = f"hub:{hub}"
    for split, table in read_hub(hub, spec.hub_config, spec.revision, wanted):
        given = spec.split or named_split(split, spec.split_map, name)
        yield _placed(table, f"{name}[{split}]" if split else name, given)


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
            for split, table in _read_file(file, spec, of_file, on_rows):
                left = None if left is None else left - table.frame.height
                table = with_partition(table, in_path)
                yield _placed(table, file.name, given or named_split(split, spec.split_map, file.name))
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
                table = read_jsonl(file.path, file.name, wanted, on_rows)
            case "parquet" | "arrow":
                read = read_parquet if file.format == "parquet" else read_arrow
                table = read(file.path, file.name, wanted)
                on_rows(table.frame.height)
            case _:
                assert_never(file.format)
    yield None, table
