"""Margins that the test rows can decide, worked out before anything is trained.

The gate passes a model when the lower bound of the difference is above minus the margin. With too few rows an
equally good model does not pass a narrow margin; a margin that most equally good models pass is one that the
rows can decide (`expectations.chances`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from expectations.chances import head_chances
from expectations.spec import GateRules
from model.spec import HeadSpec

POWER = 0.9
"""Chance that an equally good model passes. More than the report's 0.8: all heads must pass at once."""
STEP = 0.005
"""Margins are rounded up to this."""
WIDEST = 0.3
"""Widest margin that is written; wider ones say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """What is written for one head."""

    margin: float
    """In units of the head's metric."""
    rows: int
    """Labelled test rows."""
    needed: int | None
    """Rows that the default margin would need; None where the rows decide it, or nothing is known."""

    @property
    def comment(self) -> str:
        """What the rows decide, and what the default margin would need."""
        usual = GateRules().margin
        if not self.rows:
            return "no test rows yet: nothing can be decided"
        if self.needed is None:
            return f"{self.rows:,} test rows decide this"
        return f"{self.rows:,} test rows decide this; {usual:g} would need about {self.needed:,}"


def decidable_margins(profile: Mapping[str, Any], heads: Mapping[str, HeadSpec]) -> dict[str, Margin]:
    """Head → the smallest margin that its test rows decide, the default where they do that.

    Args:
        profile: `profile.json` of the merged data.
        heads: labels filled in.
    """
    rules = replace(GateRules(), power=POWER)
    return {
        one.head: _margin(one.rows, one.power_margin, rules.margin)
        for one in head_chances(profile, heads, rules)
    }


def _margin(rows: int, decided: float | None, usual: float) -> Margin:
    if decided is None or decided <= usual:
        return Margin(margin=usual, rows=rows, needed=None)
    margin = min(WIDEST, round(math.ceil(decided / STEP - 1e-9) * STEP, 3))
    needed = rows * (decided / usual) ** 2  # the standard error falls with the root of the rows
    return Margin(margin=margin, rows=rows, needed=_two_digits(needed))


def _two_digits(rows: float) -> int:
    """Rounded to two digits, as an estimate is said."""
    scale: int = 10 ** max(0, math.floor(math.log10(rows)) - 1)
    return round(rows / scale) * scale
