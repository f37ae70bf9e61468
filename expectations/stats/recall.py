"""Whether a label is found at all: its recall beside the share at which it is answered anyway.

A model that does not look at the text answers a label with the same chance on rows that have it and rows that
do not: its recall is, but for luck, the share of all rows for which it answers the label. Knows counts, not
what a head is.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import beta, hypergeom

LEAST_GAIN = 0.25
"""The least that a label must be found to count as found: this share of the way from the recall of chance to
all its rows."""


LEAST_ANSWERED = 0.5
"""The same for a label that is answered nowhere, which is of no use to anyone: half of its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts:
    """What a model answered about one label on the rows where it is known.

    Raises:
        ValueError: the counts do not fit each other.
    """

    rows: int
    """Rows where it is known whether the label applies."""
    support: int
    """Rows to which it applies."""
    answered: int
    """Rows for which the model answers it."""
    hits: int
    """Rows to which it applies and for which the model answers it."""

    def __post_init__(self) -> None:
        """Refuse more hits than answers, or more of anything than rows."""
        least = self.support + self.answered - self.rows
        if not max(0, least) <= self.hits <= min(self.support, self.answered):
            raise ValueError(f"counts that do not fit each other: {self}")

    @property
    def recall(self) -> float:
        """Share of its rows for which it is answered; NaN without such rows."""
        return self.hits / self.support if self.support else float("nan")

    @property
    def share(self) -> float:
        """Share of all rows for which it is answered: the recall that blind answers would have."""
        return self.answered / self.rows if self.rows else 0.0


def surely_found(counts: LabelCounts, confidence: float) -> bool:
    """Whether the recall is certainly above the share at which the label is answered.

    Fisher's exact test, one-sided (Fisher 1935, "The Logic of Inductive Inference"): given how many rows have
    the label and for how many it is answered, so many hits or more are too unlikely by chance. A label that
    all rows have, and for which all are answered, is found: there is no row on which chance could show.
    """
    if counts.hits == counts.rows:
        return counts.rows > 0
    by_chance = hypergeom.sf(counts.hits - 1, counts.rows, counts.support, counts.answered)
    return counts.hits > 0 and bool(by_chance <= 1 - confidence)


def surely_missed(counts: LabelCounts, confidence: float) -> bool:
    """Whether the recall is certainly below `LEAST_GAIN` of the way from chance to all rows; of a label that
    is never answered, below `LEAST_ANSWERED`.

    By the exact upper bound of the recall (Clopper & Pearson 1934, Biometrika 26, 404–413). At 95% a label
    that is never answered is missed from 5 rows on (0.5^5 < 0.05 < 0.5^4), one that is answered on wrong rows
    only, and rarely, from 11 (0.75^11 < 0.05 < 0.75^10).
    """
    if not counts.support:
        return False
    if not counts.answered:
        return recall_upper(counts, confidence) < LEAST_ANSWERED
    return recall_upper(counts, confidence) < counts.share + LEAST_GAIN * (1 - counts.share)


def recall_upper(counts: LabelCounts, confidence: float) -> float:
    """One-sided exact upper bound of the recall; 1 where all rows are found."""
    if counts.hits == counts.support:
        return 1.0
    return float(beta.ppf(confidence, counts.hits + 1, counts.support - counts.hits))
