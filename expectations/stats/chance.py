"""What chance an equally good model has to pass its margin, before anything is trained.

Two equally good models are drawn many times on the test rows that there are: how many of each label, which
belong together. Each time the bound that would decide is worked out as the gate does it, with the bootstrap's
standard error by its linear part. The share of draws in which it lies above the margin is the chance.

How often the two disagree is not known before. `DISAGREEING` is what was measured: 7% and 12% of the rows on
topics and ratings, 9% and 11% of a label's rows on two heads with emotions (decision 0034).

Knows counts; does not know heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from expectations.stats.paired import tango_bounds
from expectations.stats.rare_labels import LabelCounts, reach

Floats = NDArray[np.float64]

DISAGREEING = 0.1
"""Share of the rows (of a label's rows) that only one of two models answers rightly."""
HITS, FALSE = 0.8, 0.2
"""Assumed of both: the share of a label's rows that are found, false claims by their number. F1 is 0.8."""
DRAWS = 400
"""Draws of two equal models: a chance is off by 2.5 points at most, one standard error."""
SEED = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """What the test rows of a head can decide."""

    passes: float
    """Chance, 0 to 1, that an equally good model passes the margin."""
    margin: float
    """Smallest margin that it would pass with the power asked for."""


def chance(lower: Floats, margin: float, power: float) -> Chance:
    """The chance from lower bounds `(R,)` of the difference of two equal models."""
    return Chance(
        passes=float(np.mean(lower > -margin)),
        margin=float(-np.quantile(lower, 1 - power, method="lower")),
    )


def lower_bounds_of_rows(rows: float, confidence: float, disagreeing: float = DISAGREEING) -> Floats:
    """`(R,)` lower bounds of the difference in the share of right rows.

    Args:
        rows: test rows; of rows in groups, how many drawn alone they are worth.
    """
    whole = max(1, round(rows))
    rng = np.random.default_rng(SEED)
    drawn = rng.multinomial(whole, [disagreeing / 2, disagreeing / 2, 1 - disagreeing], size=DRAWS)
    found: dict[tuple[int, int], float] = {}
    for one, other, _ in drawn.tolist():
        if (one, other) not in found:
            found[one, other] = tango_bounds(one, other, whole, confidence)[0]
    return np.array([found[one, other] for one, other, _ in drawn.tolist()])


def lower_bounds_of_labels(
    true_rows: NDArray[Any], rows: float, confidence: float, disagreeing: float = DISAGREEING
) -> Floats:
    """`(R,)` lower bounds of the difference in macro-F1.

    Args:
        true_rows: `(L,)` test rows to which each label applies; of rows in groups, how many drawn alone they
            are worth.
        rows: all test rows of the head, likewise.
    """
    k: Floats = np.asarray(np.round(true_rows), dtype=np.float64)
    rng = np.random.default_rng(SEED)
    shape = (DRAWS, k.size)
    whole = k.astype(np.int64)
    both_hit = rng.binomial(whole, HITS - disagreeing / 2, size=shape)
    left = whole - both_hit
    share = disagreeing / 2 / (1 - HITS + disagreeing / 2)
    gained = rng.binomial(left, share)
    lost = rng.binomial(left - gained, min(1.0, share / (1 - share)))
    both_false = rng.poisson(k * max(FALSE - disagreeing / 2, 0.0), size=shape)
    one_false, other_false = (rng.poisson(k * min(FALSE, disagreeing / 2), size=shape) for _ in range(2))
    lower = np.empty(DRAWS)
    for at in range(DRAWS):
        counts = LabelCounts(
            rows=k,
            effective=k,
            hits=((both_hit + gained)[at].astype(float), (both_hit + lost)[at].astype(float)),
            false=((both_false + one_false)[at].astype(float), (both_false + other_false)[at].astype(float)),
            alone=(gained[at].astype(float), lost[at].astype(float)),
            alone_squared=(gained[at].astype(float), lost[at].astype(float)),
        )
        lower[at] = _lower(counts, one_false[at] + other_false[at], rows, confidence)
    return lower


def disagreeing_labels(squared_error: float, true_rows: NDArray[Any]) -> float:
    """The share of a label's rows on which two models disagree, from the squared standard error of their
    difference in macro-F1 on labels of `true_rows` `(L,)`."""
    k = np.maximum(np.asarray(true_rows, dtype=np.float64), 1.0)
    below = (1 + HITS + FALSE) ** 2 * k * k.size
    worth = float((k * ((2 * (1 + FALSE) / below) ** 2 + (2 * HITS / below) ** 2)).sum())
    return float(np.clip(squared_error / worth, 0.005, 2 * min(FALSE, 1 - HITS)))


def _lower(counts: LabelCounts, claims: NDArray[Any], rows: float, confidence: float) -> float:
    """The bound of one draw: `claims` `(L,)` false claims of one model alone."""
    k = np.maximum(counts.rows, 1.0)
    hits, false = counts.hits[0] / k, counts.false[0] / k
    labels = k.size
    below = (1 + hits + false) ** 2 * k * labels
    of_hit, of_claim = 2 * (1 + false) / below, 2 * hits / below
    apart = counts.alone[0] + counts.alone[1]
    error = float(np.sqrt((of_hit**2 * apart + of_claim**2 * claims).sum()))
    disagreeing = min(float((apart + claims).sum()), rows)
    half = float(t.ppf(confidence, disagreeing - 1)) * error if disagreeing > 1 else 0.0
    missed = float((of_hit * counts.hits[0]).sum()) / max(rows, 1.0)
    unseen = rows * (1.0 - (1.0 - confidence) ** (1.0 / max(rows, 1.0))) * missed
    squares = (of_hit**2 * apart + of_claim**2 * claims).sum()
    fourth = (of_hit**4 * apart + of_claim**4 * claims).sum()
    telling = float(squares**2 / fourth) if fourth > 0 else 1.0
    return _difference(counts) - reach(counts, max(half, unseen), error, confidence, telling=telling).half


def _difference(counts: LabelCounts) -> float:
    known = counts.rows
    ones, others = (
        np.divide(2 * h, known + h + f, out=np.zeros_like(known), where=known > 0)
        for h, f in zip(counts.hits, counts.false, strict=True)
    )
    return float((ones - others).mean())
