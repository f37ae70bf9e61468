"""From texts to the token ids that the graph reads: checked, cut, tokenised, padded.

Does not know heads. Axes: B texts, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .errors import CardError, TextError

CHARS_PER_TOKEN = 100
"""Texts are cut after this many characters for each token that the model reads, so that a text of many
megabytes costs no more than a long one. English has about 4 characters a token."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """Texts as the graph reads them."""

    input_ids: NDArray[np.int64]
    """(B, T), padded on the right."""
    attention_mask: NDArray[np.int64]
    """(B, T), 1 for tokens and 0 for padding."""


def load_tokenizer(raw: bytes, max_length: int, path: Path) -> Tokenizer:
    """The tokenizer in the bytes of `tokenizer.json`; `path` is named in messages.

    Raises:
        CardError: it cannot be read, cuts at another length than `max_length`, or names no padding token.
    """
    try:
        tokenizer = Tokenizer.from_buffer(raw)
    except Exception as error:  # tokenizers raises bare Exception
        raise CardError(f"{path}: cannot be read as a tokenizer: {str(error)[:200]}") from error
    cut = (tokenizer.truncation or {}).get("max_length")
    if cut != max_length:
        raise CardError(f"{path}: cuts at {cut} tokens, expected the card's max_length {max_length}")
    if tokenizer.padding is None:
        raise CardError(f"{path}: no padding entry, expected one that names the padding token")
    return tokenizer


class TokenReader:
    """Turns texts into token ids and ids into padded batches."""

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        """Takes a tokenizer from `load_tokenizer`."""
        self._tokenizer = tokenizer
        self._pad_id = int((tokenizer.padding or {"pad_id": 0})["pad_id"])
        self._tokenizer.no_padding()
        self._most_chars = CHARS_PER_TOKEN * max_length

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut at the tokenizer's length.

        Raises:
            TextError: one is not a string or holds a lone surrogate; the message gives its index.
        """
        if isinstance(texts, str):
            raise TextError("seen one text, expected a list of texts")
        checked = [_checked(index, text, self._most_chars) for index, text in enumerate(texts)]
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(checked)]

    def pad(self, ids: Sequence[Sequence[int]]) -> Encoding:
        """Token ids of B texts as one batch, (B, T), where T is the longest of them."""
        # At least one column: a graph that pools over no tokens at all is not defined.
        shape = (len(ids), max((len(row) for row in ids), default=1) or 1)
        tokens, mask = np.full(shape, self._pad_id, np.int64), np.zeros(shape, np.int64)
        for row, values in enumerate(ids):
            tokens[row, : len(values)] = values
            mask[row, : len(values)] = 1
        return Encoding(tokens, mask)


def _checked(index: int, text: object, most_chars: int) -> str:
    """The text, cut at `most_chars` characters."""
    if not isinstance(text, str):
        raise TextError(f"text {index}: seen {type(text).__name__}, expected a string")
    cut = text[:most_chars]
    if not cut.isascii():
        try:
            cut.encode("utf-8")
        except UnicodeEncodeError as error:
            raise TextError(
                f"text {index}: seen a lone surrogate at character {error.start}, expected Unicode"
            ) from None
    return cut
