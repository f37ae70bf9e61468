"""What is known beside a data verdict, for the pages to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expectations.chances import HeadChance


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was measured of the data, and what is known of the champion; what is missing is left out."""

    token_lengths: Mapping[str, Any] | None = None
    """As for `expectations.data.gate.judge_data`."""
    champion_profile: Mapping[str, Any] | None = None
    """Profile of the data that the champion was trained on."""
    champion_rows: str = ""
    """What is to be said of test rows that the champion was trained on."""
    chances: Sequence[HeadChance] = ()
    """What the test rows can decide."""
