"""Cut a text file into blocks of whole rows, and number their lines. Does not know what stands in a row."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

BLOCK_BYTES = 1 << 25
"""Bytes read at a time: enough for two threads, little enough to be freed soon."""

_NEWLINE, _RETURN, _QUOTE = b'\n\r"'

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Block:
    """Whole rows of a file."""

    data: bytes
    lines: npt.NDArray[np.int64]
    """(N,) the line on which each row starts, from 1; blank lines are no rows."""
    starts: Places
    """(N,) where each row starts in `data`."""
    ends: Places
    """(N,) where each row ends, before its line break."""
    quotes: Places
    """Where `"` stands, if it quotes."""
    inner_breaks: bool
    """Whether a quoted cell holds a line break."""


def blocks(raw: BinaryIO, *, quoted: bool, size: int | None = None) -> Iterator[Block | None]:
    """The file's rows in blocks; then None, and nothing more, where a carriage return stands alone, which
    ends a line too, or a quoted cell is not closed.

    Args:
        raw: a file in UTF-8; a byte-order mark at its start is left out.
        quoted: whether a line break between two `"` belongs to a cell.
        size: bytes at a time.
    """
    rest, line, first = b"", 1, True
    while True:
        more = raw.read(max(size or BLOCK_BYTES, len(rest)))
        data = rest + more
        if first:
            data, first = data.removeprefix(codecs.BOM_UTF8), False
        if not data:
            return
        found = _rows(data, line, quoted=quoted, whole=not more)
        if found is None:
            rest = data
            if more:
                continue
            yield None
            return
        block, cut = found
        if data.count(b"\r", 0, cut) != data.count(b"\r\n", 0, cut):
            yield None
            return
        if block.lines.size:
            yield block
        if not more:
            return
        rest, line = data[cut:], line + data.count(b"\n", 0, cut)


def _rows(data: bytes, line: int, *, quoted: bool, whole: bool) -> tuple[Block, int] | None:
    """(The rows of `data` that are whole, where they end); None where there is none, or one is not closed."""
    letters = np.frombuffer(data, dtype=np.uint8)
    breaks = np.flatnonzero(letters == _NEWLINE)
    quotes = np.flatnonzero(letters == _QUOTE) if quoted and b'"' in data else np.zeros(0, dtype=np.intp)
    row_ends = breaks
    if quotes.size:
        row_ends = breaks[np.searchsorted(quotes, breaks) % 2 == 0]
    if whole and (not row_ends.size or row_ends[-1] != len(data) - 1):
        if quotes.size % 2:
            return None
        row_ends = np.append(row_ends, len(data))
    if not row_ends.size:
        return None
    cut = min(int(row_ends[-1]) + 1, len(data))
    starts = np.concatenate([np.zeros(1, dtype=np.intp), row_ends[:-1] + 1])
    inner = row_ends.size - int(row_ends[-1] == len(data)) < np.searchsorted(breaks, cut)
    before = np.searchsorted(breaks, starts) if inner else np.arange(starts.size)
    ends = row_ends - (letters[np.maximum(row_ends - 1, 0)] == _RETURN) * (row_ends > starts)
    filled = ends > starts
    if not filled.all():
        starts, ends, before = starts[filled], ends[filled], before[filled]
    return Block(
        data[:cut], line + before.astype(np.int64), starts, ends, quotes[quotes < cut], bool(inner)
    ), cut


def well_quoted(block: Block, delimiter: str) -> bool:
    """Whether every `"` opens a cell, closes one or is written twice inside, as RFC 4180 has it."""
    quotes, letters = block.quotes, np.frombuffer(block.data, dtype=np.uint8)
    if not quotes.size:
        return True
    around: list[Any] = [_NEWLINE, _RETURN, ord(delimiter)]
    opening, closing = quotes[::2], quotes[1::2]
    if opening.size != closing.size:
        return False
    doubled = opening[1:] == closing[:-1] + 1
    fresh = np.isin(letters[np.maximum(opening - 1, 0)], [_NEWLINE, ord(delimiter)]) | (opening == 0)
    after = np.minimum(closing + 1, letters.size - 1)
    ended = np.isin(letters[after], around) | (closing == letters.size - 1)
    return bool(np.all(fresh[1:] | doubled) and fresh[0] and np.all(ended[:-1] | doubled) and ended[-1])
