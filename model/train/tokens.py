"""Texts → token ids, once: one flat array and offsets on disk, memory-mapped, found again by content.

Knows tokenizers. Does not know batches, heads or splits' meaning.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..bundle.tokens import TokenReader
from ..cache import CacheEntry
from ..code import code_digest
from ..digest import digest
from ..errors import BadInput
from ..faults import fault
from ..rows import SplitRows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEXTS_AT_ONCE = 2048
"""Texts given to the tokenizer in one call: enough to keep its threads busy, and small in memory."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token ids of N texts."""

    ids: NDArray[np.int32]
    """(sum of lengths,) all ids, one text after the other."""
    offsets: NDArray[np.int64]
    """(N + 1,) where each text begins; the last one is the end."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(N,) tokens of each text, special tokens included."""
        return np.diff(self.offsets)

    def padded(
        self, rows: NDArray[np.int64], pad_id: int, length: int = 0
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids and mask of some rows, both (B, T), where T is the longest of them, or `length` if that is
        more."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        positions = np.arange(max(int(lengths.max()), length))
        mask = positions < lengths[:, None]
        where = np.where(mask, starts[:, None] + positions, 0)
        return np.where(mask, self.ids[where], pad_id).astype(np.int64), mask.astype(np.int64)

    def of(self, rows: NDArray[np.int64]) -> Tokens:
        """The tokens of some rows, in their order."""
        starts, lengths = self.offsets[rows], self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        # Position of every token: where its text begins, plus how far into the text it is.
        where = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Tokens(self.ids[where], offsets)


def tokenise(texts: Iterable[str], tokenizer: Tokenizer) -> Tokens:
    """Token ids of all texts, prepared and cut as in the bundle.

    Raises:
        BadInput: the tokenizer does not cut.
    """
    if tokenizer.truncation is None:
        raise BadInput("tokenizer.json: seen no truncation, expected one at max_length; fit again")
    reader = TokenReader(tokenizer, tokenizer.truncation["max_length"])
    ids: list[NDArray[np.int32]] = []
    lengths: list[int] = [0]
    for part in _parts(iter(texts)):
        for found in reader.ids(part):
            ids.append(np.asarray(found, dtype=np.int32))
            lengths.append(len(found))
    flat = np.concatenate(ids) if ids else np.zeros(0, np.int32)
    return Tokens(flat, np.cumsum(lengths, dtype=np.int64))


def cached_tokens(rows: SplitRows, tokenizer: Tokenizer, cache: Path) -> Tokens:
    """The split's tokens from the folder `cache`, made there first where they are absent or damaged.

    The key holds the texts' digest, the tokenizer's whole description, its cut included, and the code that
    prepares texts.
    """
    entry = CacheEntry(cache / digest("tokens", rows.texts_sha256, tokenizer.to_str(), code_digest())[:32])
    with entry.making() as folder:
        if folder is not None:
            tokens = tokenise(rows.texts(), tokenizer)
            np.save(folder / "ids.npy", tokens.ids)
            np.save(folder / "offsets.npy", tokens.offsets)
            fault("tokens_written")
    if folder is not None:
        fault("tokens_made")
    return Tokens(
        np.load(entry.folder / "ids.npy", mmap_mode="r", allow_pickle=False),
        np.load(entry.folder / "offsets.npy", allow_pickle=False),
    )


def token_cache(rows_folder: Path, out: Path) -> Path:
    """Where tokens are kept: beside the rows, so that all models share them; in `out` where that is
    not writable."""
    return (rows_folder if os.access(rows_folder, os.W_OK) else out) / ".tokens"


def _parts(texts: Iterator[str]) -> Iterator[list[str]]:
    while part := list(islice(texts, TEXTS_AT_ONCE)):
        yield part
