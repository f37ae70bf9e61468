"""Read Parquet and Arrow files, and any Arrow table: typed cells become strings, lists JSON arrays."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq

from model.suggestions import did_you_mean
from sources.errors import BadTable, Problem, UnreadableSource, one_of
from sources.formats.table import LINE, Table, Wanted


def read_parquet(file: Path, name: str, wanted: Wanted) -> Table:
    """The wanted columns of one Parquet file, which messages call `name`; a line is a row's number, from 1.

    Raises:
        UnreadableSource: not Parquet, truncated or damaged.
        BadTable: columns missing, twice or of a type that holds no text or labels; no rows.
    """
    try:
        with pq.ParquetFile(file) as parquet:
            schema = parquet.schema_arrow
            columns = _columns(schema, wanted, name)
            limit = wanted.limit
            table = parquet.read(columns=columns) if limit is None else _head(parquet, columns, limit)
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
        raise BadTable(Problem("the file has no rows", "at least one row", file=name))
    problems = [bad for column in columns if (bad := _bad_bytes(table, column, name)) is not None]
    if problems:
        raise UnreadableSource(*problems)
    series = [pl.int_range(1, table.num_rows + 1, eager=True, dtype=pl.Int64).alias(LINE)]
    lists = set()
    for column in columns:
        cells = table.column(column)
        if column not in wanted.columns:
            if not pa.types.is_nested(cells.type):
                series.append(pl.Series(column, pl.from_arrow(cells)))
            continue
        if column in wanted.objects and pa.types.is_struct(cells.type):
            objects = pl.Series(column, pl.from_arrow(cells))
            text = objects.struct.json_encode()
            series.append(pl.select(pl.when(objects.is_not_null()).then(text).alias(column)).to_series())
            continue
        if (problem := _bad_cells(cells, is_text=column == wanted.text)) is not None:
            problems.append(replace(problem, file=name, column=column))
            continue
        if is_list := _is_list(_plain_type(cells.type)):
            lists.add(column)
        series.append(_strings(cells, column, is_list))
    if problems:
        raise BadTable(*problems)
    return Table(frame=pl.DataFrame(series), lists=frozenset(lists))


def _bad_cells(cells: pa.ChunkedArray, *, is_text: bool) -> Problem | None:
    """Why a column can't be read as texts or labels."""
    kind = _plain_type(cells.type)
    is_list = _is_list(kind)
    inner = _plain_type(kind.value_type) if is_list else kind
    strings = pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner)
    if is_text:
        fits, expected = not is_list and (strings or pa.types.is_null(inner)), "strings"
    else:
        fits, expected = strings or _is_label_type(inner), "strings, integers, booleans or lists of them"
    if not fits:
        advice = "Flatten or convert the column before it is read."
        if not is_text and pa.types.is_struct(kind):
            advice = "If it holds a score of each label, set `threshold` beside the label's `column`."
        return Problem(f"the column's type is {cells.type}", expected, advice)
    if is_list and (row := _null_inside(cells)) is not None:
        advice = "Remove it, or make the whole cell null (unlabelled)."
        return Problem("a list holds null", "lists of labels", advice, line=row)
    return None


def _columns(schema: pa.Schema, wanted: Wanted, name: str) -> list[str]:
    """Columns to read. Raises `BadTable` if one is missing or there twice."""
    names = schema.names
    problems = [
        Problem(
            f"there is no such column{did_you_mean(column, names)}", one_of(names), file=name, column=column
        )
        for column in wanted.columns
        if column not in names
    ]
    problems += [
        Problem("the column is there twice", "each column once", file=name, column=column)
        for column in sorted({c for c in names if names.count(c) > 1})
    ]
    if problems:
        raise BadTable(*problems)
    also = [column for column in names if column in wanted.also]
    return list(names) if wanted.all_columns else [*wanted.columns, *also]


def _head(parquet: pq.ParquetFile, columns: list[str], limit: int) -> pa.Table:
    """The first batches that hold `limit` rows."""
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


def _is_label_type(kind: pa.DataType) -> bool:
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(is_number or pa.types.is_boolean(kind) or pa.types.is_null(kind))


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
    """What `validate(full=True)` finds in a column, with the row where it names one."""
    before = 0
    for chunk in table.column(column).chunks:
        try:
            chunk.validate(full=True)
        except pa.ArrowException as error:
            at = re.search(r"at string index (\d+)", str(error))
            seen = f"damaged cells ({str(error).splitlines()[0][:160]})"
            line = None if at is None else before + int(at.group(1)) + 1
            advice = "Write the file again from its source."
            return Problem(seen, "strings in UTF-8", advice, file=name, line=line, column=column)
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


def _damaged(name: str, what: str, error: Exception) -> UnreadableSource:
    reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
    advice = "It may be truncated or another format: copy it again, or set `format`."
    return UnreadableSource(Problem(f"not a whole {what} file ({reason})", advice=advice, file=name))
