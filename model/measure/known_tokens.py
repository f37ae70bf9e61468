"""How much of each text an encoder reads: its length in tokens, and how many of them it does not know.

Knows tokenizers. Does not judge, and does not know splits, heads or sources. Axis: N texts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..bundle.tokens import unknown_id

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Token counts of N texts, before anything is cut."""

    lengths: NDArray[np.int64]
    """(N,) tokens of each text, those that every text gets (`[CLS]`, `[SEP]`) included."""
    own: NDArray[np.int64]
    """(N,) tokens that stand for something in the text, at least 1: a text that the tokenizer leaves nothing
    of is one unknown token."""
    unknown: NDArray[np.int64]
    """(N,) of `own`, those that the encoder does not know."""

    def figures(self, max_length: int, where: NDArray[np.bool_] | None = None) -> dict[str, int]:
        """Sums over the texts, or over those of a mask (N,): `rows`, `truncated` (texts longer than
        `max_length`), `tokens`, `unknown` (tokens) and `unread` (texts without one known token)."""
        at = np.ones(len(self.lengths), np.bool_) if where is None else where
        return {
            "rows": int(np.count_nonzero(at)),
            "truncated": int((self.lengths[at] > max_length).sum()),
            "tokens": int(self.own[at].sum()),
            "unknown": int(self.unknown[at].sum()),
            "unread": int((self.unknown[at] == self.own[at]).sum()),
        }


def count_tokens(tokenizer: Tokenizer, ids: Sequence[Sequence[int]]) -> TokenCounts:
    """The counts of texts from their token ids."""
    unknown_id = unknown_token_id(tokenizer)
    lengths = np.array([len(of_text) for of_text in ids], np.int64)
    unknown = np.array([0 if unknown_id is None else of_text.count(unknown_id) for of_text in ids], np.int64)
    own = lengths - tokenizer.num_special_tokens_to_add(is_pair=False)
    return TokenCounts(lengths, np.maximum(own, 1), np.where(own > 0, unknown, 1))


def unknown_token_id(tokenizer: Tokenizer) -> int | None:
    """The id that stands for whatever the vocabulary lacks; None where it lacks nothing, because each byte is
    a token of its own (`ByteLevel`, `byte_fallback`)."""
    described: Mapping[str, Any] = json.loads(tokenizer.to_str())
    if described["model"].get("byte_fallback") or '"ByteLevel"' in json.dumps(described.get("pre_tokenizer")):
        return None
    return unknown_id(tokenizer)
