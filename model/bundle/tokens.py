"""From texts to the token ids that the graph reads: checked, prepared, cut, tokenised, padded.

Does not know heads. Axes: B texts, T tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .errors import CardError, TextError
from .texts import PREPARATION, TextPreparation, prepared

CHARS_PER_TOKEN = 100
"""Prepared texts are cut after this many characters for each token that the model reads, so that a text of
many megabytes costs little more than a long one. English has about 4 characters a token."""


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
    """Turns texts into token ids and ids into padded batches: of training as of bundles, so that a model is
    asked as it was taught."""

    def __init__(
        self, tokenizer: Tokenizer, max_length: int, preparation: TextPreparation = PREPARATION
    ) -> None:
        """Takes a tokenizer that cuts at `max_length` tokens, and sets it: no padding, and special tokens in
        texts as `preparation` says."""
        self._tokenizer = tokenizer
        self._preparation = preparation
        self._pad_id = int((tokenizer.padding or {"pad_id": 0})["pad_id"])
        self._tokenizer.no_padding()
        self._most_chars = CHARS_PER_TOKEN * max_length
        # Not part of `tokenizer.json`, so it is set wherever one is read.
        self._tokenizer.encode_special_tokens = preparation != "as_given"
        self._reserved = _Reserved.of(tokenizer)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, prepared, and cut at the tokenizer's length.

        Raises:
            TextError: one is not a string or holds a lone surrogate; the message gives its index.
        """
        if isinstance(texts, str):
            raise TextError("seen one text, expected a list of texts")
        match self._preparation:
            case "as_given":
                cut = [_checked(index, text)[: self._most_chars] for index, text in enumerate(texts)]
                return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(cut)]
            case "nfc":
                cut = [prepared(_checked(index, text), self._most_chars) for index, text in enumerate(texts)]
                return [self._reserved.kept_out(each) for each in self._tokenizer.encode_batch_fast(cut)]
            case _:
                assert_never(self._preparation)

    def pad(self, ids: Sequence[Sequence[int]]) -> Encoding:
        """Token ids of B texts as one batch, (B, T), where T is the longest of them."""
        # At least one column: a graph that pools over no tokens at all is not defined.
        shape = (len(ids), max((len(row) for row in ids), default=1) or 1)
        tokens, mask = np.full(shape, self._pad_id, np.int64), np.zeros(shape, np.int64)
        for row, values in enumerate(ids):
            tokens[row, : len(values)] = values
            mask[row, : len(values)] = 1
        return Encoding(tokens, mask)


@dataclass(frozen=True, slots=True)
class _Reserved:
    """Special tokens, which may come from the tokenizer's template alone and not out of a text. Unigram, and
    models of whole words, find `</s>` or `[SEP]` in their own vocabulary."""

    ids: frozenset[int]
    template: int
    """Number of them that the template adds to each text."""
    unknown: int | None
    """What stands for an unknown word; not reserved."""

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> _Reserved:
        unknown = unknown_id(tokenizer)
        template = tokenizer.encode("").ids
        added = {key for key, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        ids = frozenset(added.union(template) - {unknown})
        return cls(ids, sum(key in ids for key in template), unknown)

    def kept_out(self, encoding: Any) -> list[int]:
        """The encoding's ids; a reserved one that came out of the text is unknown."""
        ids: list[int] = encoding.ids
        if sum(map(self.ids.__contains__, ids)) <= self.template:
            return ids
        marked = zip(ids, encoding.special_tokens_mask, strict=True)
        plain = [key if of_template or key not in self.ids else self.unknown for key, of_template in marked]
        return [key for key in plain if key is not None]


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id that stands for an unknown word; None where the tokenizer has none."""
    model = tokenizer.model
    if not hasattr(model, "unk_token"):  # Unigram tells its unknown token in JSON alone
        found = json.loads(tokenizer.to_str())["model"].get("unk_id")
        return None if found is None else int(found)
    return None if model.unk_token is None else tokenizer.token_to_id(model.unk_token)


def _checked(index: int, text: object) -> str:
    """The text, if it is one."""
    if not isinstance(text, str):
        raise TextError(f"text {index}: seen {type(text).__name__}, expected a string")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise TextError(
                f"text {index}: seen a lone surrogate at character {error.start}, expected Unicode"
            ) from None
    return text
