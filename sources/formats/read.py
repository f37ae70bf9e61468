"""Read one source, whatever its format, into one table of strings with file, line and given split.

Does not know how labels are written in cells (`sources.labels.targets`) nor other sources (`sources.merge.join`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from sources.errors import BadCell, BadSplit, BadTable, DataError, Problem, nearest, raise_together, shown
from sources.formats.columnar import read_arrow, read_parquet
from sources.formats.delimited import read_delimited
from sources.formats.huggingface import is_saved, read_hub, read_saved
from sources.formats.jsonl import read_jsonl
from sources.formats.locate import Located, locate
from sources.formats.table import FILE, GIVEN, LINE, Table, Wanted
from sources.formats.text_file import unchanged
from sources.spec import SourceSpec, TargetSpec

_SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSource:
    """One source as read, before labels are looked at."""

    name: str
    table: Table
    """With `LINE`, `FILE` and `GIVEN`."""
    files: int
    rows_read: int
    """Rows before the source's `where`."""


def target_spec(target: str | TargetSpec) -> TargetSpec:
    """The target in long form: a plain string is its `column`."""
    return TargetSpec(column=target) if isinstance(target, str) else target


def target_columns(target: TargetSpec) -> tuple[str, ...]:
    """Columns of the source that a target is read from."""
    if target.columns is not None:
        return tuple(target.columns)
    return (target.column,) if target.column is not None else ()


def read_source(name: str, spec: SourceSpec, base: Path, on_rows: Callable[[int], None]) -> RawSource:
    """All rows of a source that pass its `where`, as strings.

    Args:
        name: the source's name in the configuration.
        base: what relative paths start from.
        on_rows: called with the rows of each part read.

    Raises:
        DataError: see the readers; every problem carries the source's name.
    """
    try:
        return _read(name, spec, base, on_rows)
    except DataError as error:
        raise type(error)(*(replace(problem, source=name) for problem in error.problems)) from error


def _read(name: str, spec: SourceSpec, base: Path, on_rows: Callable[[int], None]) -> RawSource:
    _check_spec(spec)
    wanted = _wanted(spec)
    frames: list[pl.DataFrame] = []
    lists: list[frozenset[str]] = []
    errors: list[DataError] = []
    files: set[str] = set()
    for shown_name, given, read in _parts(spec, base, wanted, on_rows):
        try:
            for split, table in read():
                lists.append(table.lists)
                files.add(shown_name)
                where = f"{shown_name}[{split}]" if split and spec.path is None else shown_name
                frames.append(
                    table.frame.with_columns(
                        pl.lit(where).alias(FILE),
                        pl.lit(given or _named_split(split, spec, shown_name), dtype=pl.String).alias(GIVEN),
                    )
                )
        except DataError as error:
            errors.append(error)
    raise_together(errors)
    frame = _together(frames, lists)
    rows_read = frame.height
    if spec.split_column is not None:
        frame = _splits_from_column(frame, spec)
    if spec.where is not None:
        frame = _filtered(frame, spec.where)
    keep = [LINE, FILE, GIVEN, *dict.fromkeys(wanted.columns)]
    return RawSource(
        name=name,
        table=Table(frame=frame.select(keep), lists=frozenset().union(*lists)),
        files=len(files),
        rows_read=rows_read,
    )


def _check_spec(spec: SourceSpec) -> None:
    """Refuse declarations that contradict each other; the configuration's schema cannot say these."""
    problems = []
    if (spec.path is None) == (spec.hub is None):
        problems.append(
            Problem(seen="`path` and `hub` are both given or both absent", expected="one of them")
        )
    if not spec.header and not spec.names:
        problems.append(
            Problem(seen="`header: false` without `names`", expected="the column names in `names`")
        )
    if spec.header and spec.names:
        problems.append(
            Problem(seen="`names` for a file with a header", expected="`header: false` beside `names`")
        )
    ways = [spec.split is not None, spec.split_column is not None, isinstance(spec.path, dict)]
    if sum(ways) > 1:
        problems.append(
            Problem(
                seen="the split is given in several ways",
                expected="one of `split`, `split_column` or a mapping in `path`",
            )
        )
    for head, target in spec.heads.items():
        long = target_spec(target)
        if (long.column is None) == (long.columns is None):
            problems.append(
                Problem(head=head, seen="`column` and `columns` both given or both absent", expected="one")
            )
        elif long.encoding == "separator" and not long.separator:
            problems.append(
                Problem(head=head, seen="`separator` is empty", expected="what stands between labels")
            )
        elif long.columns is None and long.encoding == "columns":
            problems.append(
                Problem(
                    head=head, seen="`encoding: columns` without `columns`", expected="the columns' names"
                )
            )
    if problems:
        raise BadTable(*problems)


def _wanted(spec: SourceSpec) -> Wanted:
    columns = [spec.text]
    for target in spec.heads.values():
        columns += target_columns(target_spec(target))
    must_exist = {spec.text} if spec.limit else set(columns)
    for extra in (spec.group, spec.split_column, *spec.keep):
        if extra is not None:
            columns.append(extra)
            must_exist.add(extra)
    return Wanted(
        text=spec.text,
        columns=tuple(dict.fromkeys(columns)),
        must_exist=frozenset(must_exist),
        all_columns=spec.where is not None,
        limit=spec.limit,
    )


_Part = tuple[str, str | None, Callable[[], Iterator[tuple[str | None, Table]]]]


def _parts(spec: SourceSpec, base: Path, wanted: Wanted, on_rows: Callable[[int], None]) -> Iterator[_Part]:
    """(Name shown, split given to it, how to read it) for each file, folder or hub dataset."""
    if spec.hub is not None:
        hub = spec.hub

        def from_hub() -> Iterator[tuple[str | None, Table]]:
            return read_hub(hub, spec.hub_config, spec.revision, wanted)

        yield f"hub:{hub}", spec.split, from_hub
        return
    paths = spec.path if isinstance(spec.path, dict) else {spec.split: spec.path}
    errors: list[DataError] = []
    for given, path in paths.items():
        try:
            located = locate(str(path), _format_of(spec, str(path), base), base)
        except DataError as error:
            errors.append(error)
            continue
        left = [spec.limit]
        for one in located:

            def from_file(
                one: Located = one, left: list[int | None] = left
            ) -> Iterator[tuple[str | None, Table]]:
                if left[0] == 0:
                    return
                limited = replace(wanted, limit=left[0])
                for split, table in _read_located(one, spec, limited, on_rows):
                    if left[0] is not None:
                        left[0] -= table.frame.height
                    yield split, table

            yield one.shown, given, from_file
    raise_together(errors)


def _format_of(spec: SourceSpec, path: str, base: Path) -> str:
    if spec.format == "auto" and is_saved(Path(base, path)):
        return "saved"
    return spec.format


def _read_located(
    one: Located, spec: SourceSpec, wanted: Wanted, on_rows: Callable[[int], None]
) -> Iterator[tuple[str | None, Table]]:
    if one.format == "saved":
        with ExitStack() as guarded:
            for file in sorted(path for path in one.path.rglob("*") if path.is_file()):
                guarded.enter_context(unchanged(file, f"{one.shown}/{file.relative_to(one.path)}"))
            for split, table in read_saved(one.path, one.shown, wanted):
                on_rows(table.frame.height)
                yield split, table
        return
    with unchanged(one.path, one.shown):
        match one.format:
            case "csv" | "tsv":
                table = read_delimited(
                    one.path,
                    one.shown,
                    wanted,
                    delimiter="," if one.format == "csv" else "\t",
                    quoting=spec.quoting if spec.quoting is not None else one.format == "csv",
                    header=spec.header,
                    names=spec.names,
                    on_rows=on_rows,
                )
            case "jsonl":
                table = read_jsonl(one.path, one.shown, wanted, on_rows=on_rows)
            case "parquet":
                table = read_parquet(one.path, one.shown, wanted)
                on_rows(table.frame.height)
            case "arrow":
                table = read_arrow(one.path, one.shown, wanted)
                on_rows(table.frame.height)
            case other:
                raise BadTable(Problem(file=one.shown, seen=f"format {other!r} cannot be read from a file"))
    yield None, table


def _together(frames: list[pl.DataFrame], lists: list[frozenset[str]]) -> pl.DataFrame:
    """All parts of a source as one frame."""
    mixed = sorted(
        column
        for column in frozenset().union(*lists)
        if any(
            column in frame.columns and column not in has and frame[column].null_count() < frame.height
            for has, frame in zip(lists, frames, strict=True)
        )
    )
    if mixed:
        raise BadCell(
            *(
                Problem(
                    file=next(f[FILE][0] for has, f in zip(lists, frames, strict=True) if column in has),
                    column=column,
                    seen="lists here, and plain cells in another file of the source",
                    expected="one kind",
                )
                for column in mixed
            )
        )
    # Columns that only a filter looks at may differ in type between files.
    return pl.concat(frames, how="diagonal_relaxed", rechunk=True)


def _named_split(split: str | None, spec: SourceSpec, file: str) -> str | None:
    """The split that a dataset's own split name means."""
    if split is None or split == "None":
        return None
    meant = spec.split_map.get(split, split)
    if meant not in _SPLIT_NAMES:
        raise BadSplit(
            Problem(
                file=file,
                seen=f"the dataset has a split named {shown(split)}",
                expected="train, validation or test",
                advice=f"Say what it is, for instance `split_map: {{{split}: validation}}`.",
            )
        )
    return meant


def _splits_from_column(frame: pl.DataFrame, spec: SourceSpec) -> pl.DataFrame:
    """`GIVEN` from the split column; a missing or empty cell leaves the row to the hash."""
    assert spec.split_column is not None
    names = {name: name for name in _SPLIT_NAMES} | dict(spec.split_map)
    cell = pl.col(spec.split_column)
    given = cell.replace_strict(names, default=None, return_dtype=pl.String)
    bad = frame.filter(cell.is_not_null() & (cell != "") & given.is_null())
    if bad.height:
        values = bad.unique(subset=[spec.split_column], keep="first", maintain_order=True).head(5)
        raise BadSplit(
            *(
                Problem(
                    file=row[FILE],
                    line=row[LINE],
                    column=spec.split_column,
                    seen=f"{shown(row[spec.split_column])} is not a split",
                    expected=", ".join(names),
                    advice=f"{nearest(row[spec.split_column], names)} Other spellings go into `split_map`.",
                )
                for row in values.iter_rows(named=True)
            )
        )
    return frame.with_columns(given.alias(GIVEN))


def _without_values(error: Exception) -> str:
    """The engine's first line, without the cells and inner columns that it lists."""
    return re.split(r";? valid columns:| in column '[^']*' for |: \[", str(error).splitlines()[0])[0][:200]


def _filtered(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """The rows for which the SQL condition is true."""
    try:
        kept = frame.filter(pl.sql_expr(where))
    except pl.exceptions.PolarsError as error:
        columns = [column for column in frame.columns if not column.startswith("__")]
        raise BadTable(
            Problem(
                seen=f"`where: {where}` cannot be applied ({_without_values(error)})",
                expected="an SQL condition on this source's columns",
                advice=(
                    "Columns of text files are strings: write `CAST(length AS INT) > 3`. "
                    f"Columns: {', '.join(columns[:20])}."
                ),
            )
        ) from error
    if kept.height == 0:
        raise BadTable(Problem(seen=f"no row passes `where: {where}`", expected="at least one row"))
    return kept
