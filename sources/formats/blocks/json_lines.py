"""Lines of a JSONL file, block by block. What Python's decoder and Arrow's would not read alike is left to
the first: nested objects, numbers that are not whole, keys that stand twice, lines that are no object."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from sources.formats.blocks.cut import Block, blocks
from sources.formats.text_file import open_bytes

MOST_BRACKETS = 64
"""Brackets on a line up to which it can't be nested so deeply that a reader's stack would end."""
SAMPLED = 500
"""Lines of a block by which its columns' types are told."""

_OPEN = np.frombuffer(b"[{", dtype=np.uint8)


def json_blocks(file: Path) -> Iterator[Block | None]:
    """The lines of a file in UTF-8; then None, and nothing more, where it is not plain."""
    with open_bytes(file) as raw:
        yield from blocks(raw, quoted=False)


def sampled_lines(block: Block) -> list[str]:
    """Some of a block's lines, from all over it."""
    step = max(1, block.lines.size // SAMPLED)
    places = zip(block.starts[::step].tolist(), block.ends[::step].tolist(), strict=True)
    return [block.data[start:end].decode() for start, end in places]


def all_lines(block: Block) -> Iterator[str]:
    """All lines of a block, blank ones left out."""
    for start, end in zip(block.starts.tolist(), block.ends.tolist(), strict=True):
        yield block.data[start:end].decode()


def types_of(rows: Sequence[Mapping[str, Any]], strings: type, labels: frozenset[str]) -> pa.Schema | None:
    """A column for each key of some objects; None where their values can't be read as a column without loss.

    Args:
        strings: the class of numbers, which are strings as they were written.
        labels: columns whose numbers must stay as they were written.
    """
    kinds: dict[str, set[str]] = {}
    for row in rows:
        for key, value in row.items():
            kinds.setdefault(key, set()).add(_kind(value, strings))
    fields = []
    for key, found in kinds.items():
        found.discard("null")
        if found == {"whole", "number"} and key not in labels:
            found = {"number"}
        if "list of null" in found and len(found) > 1:
            found.discard("list of null")
        kind = _TYPES.get(found.pop()) if len(found) == 1 else pa.null() if not found else None
        if kind is None or (key in labels and kind == pa.float64()):
            return None
        fields.append(pa.field(key, kind))
    return pa.schema(fields)


_TYPES = {
    "text": pa.string(),
    "truth": pa.bool_(),
    "whole": pa.int64(),
    "number": pa.float64(),
    "list of text": pa.list_(pa.string()),
    "list of whole": pa.list_(pa.int64()),
    "list of null": pa.list_(pa.null()),
}


def _kind(value: Any, strings: type[str]) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, strings):
        written = str(value)
        return "whole" if len(written) < 18 and written.lstrip("-").isdigit() else "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list):
        inside = {_kind(item, strings) for item in value}
        return f"list of {inside.pop()}" if len(inside) == 1 else "list of null" if not inside else "other"
    return "other"


def read_block(block: Block, schema: pa.Schema, wanted: Sequence[str]) -> dict[str, pl.Series] | None:
    """The wanted columns of a block as cells, lists as JSON arrays; None where a line is not as `schema`.

    Args:
        wanted: those that the schema has; others are left out.
    """
    if not _one_object_a_line(block):
        return None
    longest = int(np.max(block.ends - block.starts)) + 2
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(block.data),
            pyarrow.json.ReadOptions(block_size=max(1 << 20, 2 * longest)),
            pyarrow.json.ParseOptions(
                explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior="error"
            ),
        )
    except pa.ArrowException:
        return None
    if table.num_rows != block.lines.size:
        return None
    cells = {}
    for name in wanted:
        if name in schema.names:
            made = _cells(table[name], block)
            if made is None:
                return None
            cells[name] = made.alias(name)
    return cells


def _one_object_a_line(block: Block) -> bool:
    """Whether each line begins and ends like an object, so that as many objects as lines are one a line, and
    is not nested deeply."""
    letters = np.frombuffer(block.data, dtype=np.uint8)
    if not (np.all(letters[block.starts] == ord("{")) and np.all(letters[block.ends - 1] == ord("}"))):
        return False
    brackets = np.flatnonzero((letters == _OPEN[0]) | (letters == _OPEN[1]))
    counts = np.diff(np.searchsorted(brackets, np.append(block.starts, len(block.data))))
    return bool(counts.max() <= MOST_BRACKETS)


def _cells(column: pa.ChunkedArray, block: Block) -> pl.Series | None:
    """A column as strings, as the other reader gives them; None where they would not be the same."""
    kind = column.type
    if pa.types.is_null(kind):
        return pl.Series([None] * len(column), dtype=pl.String)
    if pa.types.is_string(kind):
        return pl.Series(pl.from_arrow(column))
    if pa.types.is_boolean(kind) or pa.types.is_floating(kind) or pa.types.is_integer(kind):
        if pa.types.is_floating(kind) or _may_hold_minus_zero(column, block):
            return None
        return pl.Series(pl.from_arrow(column)).cast(pl.String)
    inside = pc.list_flatten(column)
    if pa.types.is_null(inside.type):
        inside = inside.cast(pa.string())
        column = column.cast(pa.list_(pa.string()))
    if inside.null_count or (pa.types.is_integer(inside.type) and _may_hold_minus_zero(inside, block)):
        return None
    lists = pl.Series("cell", pl.from_arrow(column)).cast(pl.List(pl.String)).to_frame()
    return _arrays(lists)


def _may_hold_minus_zero(column: pa.ChunkedArray, block: Block) -> bool:
    """Whether a number may have been written `-0`, which as an integer is `0`."""
    return (
        pa.types.is_integer(column.type) and b"-0" in block.data and bool(pc.any(pc.equal(column, 0)).as_py())
    )


def _arrays(lists: pl.DataFrame) -> pl.Series:
    """Lists as JSON arrays, as `json.dumps` writes them; each distinct one is written once."""
    written = lists.select(
        pl.when(pl.col("cell").is_not_null()).then(pl.struct("cell").struct.json_encode()).alias("cell")
    )
    distinct = written["cell"].unique().drop_nulls()
    arrays = [json.dumps(json.loads(cell)["cell"], ensure_ascii=False) for cell in distinct]
    known = pl.DataFrame({"cell": distinct, "array": arrays}, schema_overrides={"array": pl.String})
    return written.join(known, on="cell", how="left", maintain_order="left")["array"]
