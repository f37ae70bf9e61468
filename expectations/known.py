"""What is known beside a dataset when it is judged: of the champion, of the encoder, of the gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expectations.chances import HeadChance
from expectations.changes import Changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was measured of the data, and what is known of the champion; what is missing is left out."""

    token_lengths: Mapping[str, Any] | None = None
    """What `model.jobs.prepare.measure_tokens` counted; none where no tokenizer was at hand, and truncation
    and unknown tokens are then not looked at."""
    champion_profile: Mapping[str, Any] | None = None
    """`profile.json` of the data that the champion was trained on; none on a first run."""
    champion_rows: str = ""
    """What is to be said of test rows that the champion was trained on."""
    version: int | None = None
    """The champion's; none on a first run."""
    changes: Changes | None = None
    """What changed since the champion was trained; none where nothing is known of its data."""
    chances: Sequence[HeadChance] = ()
    """What the test rows can decide; empty where it was not weighed."""


NOTHING = Known()
"""Nothing is known beside the dataset."""
