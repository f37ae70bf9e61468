"""A recipe for as many rows as there are: how long texts are, and how many steps they give."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\w+|[^\w\s]")
TOKENS_A_WORD = 1.3
"""Tokens of an English word or mark, on average, in the vocabularies of BERT's family."""
COVERED = 0.99
"""Share of the texts that are not cut."""
FEW_ROWS = 5_000
"""Training rows below which smaller batches and higher rates are written: there are few steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Fields of `train` that are written, each with its reason."""

    max_length: int
    epochs: int
    small: bool
    """Whether few rows ask for smaller steps and higher rates."""


def recipe_for(texts: Sequence[str], rows: int) -> Recipe:
    """The recipe.

    Args:
        texts: some of them.
        rows: training rows.
    """
    lengths = sorted(TOKENS_A_WORD * len(_WORD.findall(text)) + 2 for text in texts) or [128.0]
    longest = lengths[min(len(lengths) - 1, int(COVERED * len(lengths)))]
    max_length = min(256, max(32, 16 * math.ceil(longest / 16)))
    return Recipe(max_length=max_length, epochs=4 if rows < FEW_ROWS else 3, small=rows < FEW_ROWS)


def foreign_share(texts: Sequence[str]) -> float:
    """Share of the letters that English does not have."""
    letters = [letter for text in texts[:500] for letter in text if letter.isalpha()]
    return sum(not letter.isascii() for letter in letters) / len(letters) if letters else 0.0
