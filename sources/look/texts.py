"""Which column of a file holds the texts, by its name and its first rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sources.formats.headers import TEXT_NAMES
from sources.look.peek import Peeked

LEAST_DISTINCT = 0.2
"""Share of different values below which a column holds no texts."""
CLEAR = 2.0
"""How much better than the next the best column must be, so that nobody need be asked."""


@dataclass(frozen=True, slots=True)
class TextGuess:
    """Columns that may hold the texts, the likeliest first."""

    candidates: tuple[str, ...]
    unsure: bool
    """Whether the first is hardly better than the second."""


def guess_text(peeked: Peeked) -> TextGuess:
    """The columns of strings that may be texts: long, and rarely equal."""
    scores = {column: score for column in peeked.columns if (score := _score(peeked, column)) > 0}
    order = sorted(scores, key=lambda column: -scores[column])
    unsure = len(order) > 1 and scores[order[0]] < CLEAR * scores[order[1]]
    return TextGuess(tuple(order), unsure)


def _score(peeked: Peeked, column: str) -> float:
    cells = [row.get(column) for row in peeked.rows]
    present = [cell for cell in cells if cell is not None and cell != ""]
    if not present or not all(isinstance(cell, str) for cell in present):
        return 0.0
    distinct = len(set(present)) / len(present)
    words = _median([len(cell.split()) for cell in present])
    named = is_text_name(column)
    if distinct < LEAST_DISTINCT or (words < 2 and not named):
        return 0.0
    return words * distinct * (4.0 if named else 1.0)


def is_text_name(column: str) -> bool:
    """Whether columns of texts are called so."""
    name = column.strip().casefold()
    return name in TEXT_NAMES or any(part in TEXT_NAMES for part in name.replace("-", "_").split("_"))


def _median(values: Sequence[int]) -> float:
    return sorted(values)[len(values) // 2]
