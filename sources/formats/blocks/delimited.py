"""Rows of a CSV or TSV file, block by block. What Python's reader and Arrow's would not read alike is left to
the first: quotes in the middle of cells, lone carriage returns, rows with more or fewer fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv

from sources.formats.blocks.cut import Block, blocks, well_quoted
from sources.formats.table import LINE
from sources.formats.text_file import open_bytes


def plain_rows(
    file: Path,
    columns: Sequence[str],
    kept: Sequence[str],
    signs: tuple[str, bool],
    on_rows: Callable[[int], None],
    *,
    header: bool,
) -> pl.DataFrame | None:
    """`LINE` and the kept columns of a file in UTF-8, as strings; None where it is not plain.

    Args:
        columns: all columns of the file, in their order.
        signs: what stands between cells, and whether `"` quotes them.
        header: whether the first row holds the columns' names.
    """
    delimiter, quoted = signs
    if len(delimiter) != 1 or not delimiter.isascii() or (quoted and delimiter == '"') or delimiter in "\r\n":
        return None
    frames: list[pl.DataFrame] = []
    with open_bytes(file) as raw:
        for block in blocks(raw, quoted=quoted):
            frame = None
            if block is not None and well_quoted(block, delimiter):
                frame = _frame(block, columns, kept, signs)
            if frame is None:
                on_rows(-sum(frame.height for frame in frames))  # they are read again
                return None
            if header:
                frame, header = frame[1:], False
            on_rows(frame.height)
            frames.append(frame)
    rows = pl.concat(frames, rechunk=True) if frames else None
    return rows if rows is not None and rows.height else None


def _frame(
    block: Block, columns: Sequence[str], kept: Sequence[str], signs: tuple[str, bool]
) -> pl.DataFrame | None:
    """The rows of a block; None if one has more or fewer fields."""
    delimiter, quoted = signs
    places = {name: str(columns.index(name)) for name in kept}
    longest = int(np.max(block.ends - block.starts)) + 2
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(block.data),
            pyarrow.csv.ReadOptions(
                column_names=[str(at) for at in range(len(columns))], block_size=max(1 << 20, 2 * longest)
            ),
            pyarrow.csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                double_quote=True,
                escape_char=False,
                newlines_in_values=block.inner_breaks,
                ignore_empty_lines=True,
            ),
            pyarrow.csv.ConvertOptions(
                check_utf8=False,  # the whole file was checked
                column_types=dict.fromkeys(places.values(), pa.string()),
                include_columns=list(places.values()),
                strings_can_be_null=False,
                null_values=[],
            ),
        )
    except pa.ArrowException:
        return None
    if table.num_rows != block.lines.size:
        return None
    cells = [pl.Series(name, pl.from_arrow(table[at])) for name, at in places.items()]
    return pl.DataFrame([pl.Series(LINE, block.lines), *cells])
