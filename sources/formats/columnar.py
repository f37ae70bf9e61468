"""Read Parquet and Arrow files, and any Arrow table: typed cells become strings, lists JSON arrays."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq

from sources.errors import BadTable, Problem, UnreadableSource, nearest
from sources.formats.table import LINE, Table, Wanted


def read_parquet(file: Path, name: str, wanted: Wanted) -> Table:
    """The wanted columns of one Parquet file; the line is the row's number, from 1.

    Raises:
        UnreadableSource: not Parquet, truncated or damaged.
        BadTable: columns missing, twice or of a type that holds no text or labels; no rows.
    """
    try:
        with pq.ParquetFile(file) as parquet:
            schema = parquet.schema_arrow
            columns = _columns(schema, wanted, name)
            # Whole row groups; `limit` is meant for trials, where reading one group too many is cheap.
            table = (
                parquet.read(columns=columns)
                if wanted.limit is None
                else _head(parquet, columns, wanted.limit)
            )
    except (pa.ArrowException, OSError) as error:
        raise _damaged(name, "Parquet", error) from error
    return from_arrow(table, name, wanted)


def read_arrow(file: Path, name: str, wanted: Wanted) -> Table:
    """The wanted columns of one Arrow file (IPC file, IPC stream or Feather).

    Raises:
        UnreadableSource: not Arrow, truncated or damaged.
        BadTable: as `read_parquet`.
    """
    try:
        try:
            table = pyarrow.feather.read_table(file, memory_map=False)
        except pa.ArrowInvalid:
            # datasets writes the stream format, which Feather does not read
            with pa.OSFile(str(file)) as raw, pyarrow.ipc.open_stream(raw) as stream:
                table = stream.read_all()
    except (pa.ArrowException, OSError) as error:
        raise _damaged(name, "Arrow", error) from error
    _columns(table.schema, wanted, name)
    return from_arrow(table, name, wanted)


def from_arrow(table: pa.Table, name: str, wanted: Wanted) -> Table:
    """An Arrow table as strings, after its bytes were checked (`validate(full=True)`).

    Raises:
        UnreadableSource: a string that is not UTF-8 or offsets that point nowhere.
        BadTable: as `read_parquet`.
    """
    columns = _columns(table.schema, wanted, name)
    table = table.select(columns)
    if wanted.limit is not None:
        table = table.slice(0, wanted.limit)
    if table.num_rows == 0:
        raise BadTable(Problem(file=name, seen="the file has no rows", expected="at least one row"))
    problems = [bad for column in columns if (bad := _bad_bytes(table, column, name)) is not None]
    if problems:
        raise UnreadableSource(*problems)
    series = [pl.int_range(1, table.num_rows + 1, eager=True, dtype=pl.Int64).alias(LINE)]
    lists = set()
    for column in columns:
        cells = table.column(column)
        if column in wanted.columns:
            kind = _plain_type(cells.type)
            is_list = _is_list(kind)
            inner = _plain_type(kind.value_type) if is_list else kind
            is_text = pa.types.is_string(inner) or pa.types.is_large_string(inner) or _is_view(inner)
            if column == wanted.text and (is_list or not (is_text or pa.types.is_null(inner))):
                problems.append(_bad_type(name, column, cells.type, "strings"))
                continue
            if not (is_text or _is_label_type(inner)):
                problems.append(
                    _bad_type(name, column, cells.type, "strings, integers, booleans or lists of them")
                )
                continue
            if is_list:
                lists.add(column)
                if (row := _null_inside(cells)) is not None:
                    problems.append(
                        Problem(
                            file=name,
                            line=row,
                            column=column,
                            seen="a list holds null",
                            expected="lists of labels",
                            advice="Remove it, or make the whole cell null (unlabelled).",
                        )
                    )
                    continue
            series.append(_strings(cells, column, is_list))
        elif not pa.types.is_nested(cells.type):
            series.append(pl.Series(column, pl.from_arrow(cells)))
    if problems:
        raise BadTable(*problems)
    return Table(frame=pl.DataFrame(series), lists=frozenset(lists))


def _columns(schema: pa.Schema, wanted: Wanted, name: str) -> list[str]:
    """Columns to read. Raises `BadTable` if one is missing or there twice."""
    needed = list(dict.fromkeys(wanted.columns))
    problems = [
        Problem(
            file=name, column=column, seen="there is no such column", advice=nearest(column, schema.names)
        )
        for column in needed
        if column not in schema.names
    ]
    problems += [
        Problem(file=name, column=column, seen="the column is there twice", expected="each column once")
        for column in sorted({c for c in schema.names if schema.names.count(c) > 1})
    ]
    if problems:
        raise BadTable(*problems)
    return list(schema.names) if wanted.all_columns else needed


def _head(parquet: pq.ParquetFile, columns: list[str], limit: int) -> pa.Table:
    batches, rows = [], 0
    for batch in parquet.iter_batches(columns=columns):
        batches.append(batch)
        rows += batch.num_rows
        if rows >= limit:
            break
    if not batches:
        return parquet.read(columns=columns)
    return pa.Table.from_batches(batches)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(kind))


def _is_label_type(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_null(kind)
    )


def _null_inside(cells: pa.ChunkedArray) -> int | None:
    """The first row, from 1, whose list holds null."""
    before = 0
    for chunk in cells.chunks:
        inside = pc.list_flatten(chunk)
        if inside.null_count:
            first = pc.index(pc.is_null(inside), True).as_py()
            return before + int(pc.list_parent_indices(chunk)[first].as_py()) + 1
        before += len(chunk)
    return None


def _bad_bytes(table: pa.Table, column: str, name: str) -> Problem | None:
    """What `validate(full=True)` says of a column, with the row where it names one."""
    before = 0
    for chunk in table.column(column).chunks:
        try:
            chunk.validate(full=True)
        except pa.ArrowException as error:
            at = re.search(r"at string index (\d+)", str(error))
            return Problem(
                file=name,
                line=None if at is None else before + int(at.group(1)) + 1,
                column=column,
                seen=f"damaged cells ({str(error).splitlines()[0][:160]})",
                expected="strings in UTF-8",
                advice="Write the file again from its source.",
            )
        before += len(chunk)
    return None


def _strings(cells: pa.ChunkedArray, column: str, is_list: bool) -> pl.Series:
    """Cells as strings: integers in decimal, floats as written shortest (`1.0`), NaN as missing,
    booleans `true` and `false`, lists as JSON arrays."""
    series = pl.Series(column, pl.from_arrow(cells))
    kind = series.dtype
    if not is_list:
        if kind in (pl.Float32, pl.Float64):
            series = series.fill_nan(None)
        return series.cast(pl.String)
    # JSON arrays, as the text formats give them: cells are decoded in one place, `sources.labels.cells`.
    text = series.cast(pl.List(pl.String)).to_frame().select(pl.struct(cell=column).struct.json_encode())
    return text.select(
        pl.when(series.is_not_null())
        .then(pl.col(text.columns[0]).str.strip_prefix('{"cell":').str.strip_suffix("}"))
        .alias(column)
    ).to_series()


def _bad_type(name: str, column: str, kind: pa.DataType, expected: str) -> Problem:
    return Problem(
        file=name,
        column=column,
        seen=f"the column's type is {kind}",
        expected=expected,
        advice="Flatten or convert the column before it is read.",
    )


def _damaged(name: str, what: str, error: Exception) -> UnreadableSource:
    reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
    return UnreadableSource(
        Problem(
            file=name,
            seen=f"not a whole {what} file ({reason})",
            advice="It may be truncated or another format: copy it again, or set `format`.",
        )
    )
