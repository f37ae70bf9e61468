"""The difference of two shares measured on the same rows: score intervals with honest small-sample coverage.

Two models answer the same N rows; each answer is right or wrong. Only the rows on which they disagree
tell them apart (McNemar 1947): `shared_only` rows that only the shared model has right, `baseline_only`
rows that only the baseline has right. Rows that come in groups count for fewer: all counts are divided by the
design effect (Rao & Scott 1992, Biometrics 48, 577–585). Knows counts and right/wrong arrays, not what a
head is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from expectations.stats.shares import wilson_bounds

Right = NDArray[np.bool_]
"""`(N,)`: whether the answer to each row is right."""
Groups = NDArray[np.integer[Any]]
"""`(N,)`: numbers from 0; rows of one group are no independent draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate between a lower and an upper bound, each of which is one-sided at the confidence asked.

    One-sided 95% bounds together make a two-sided 90% interval.
    """

    value: float
    lower: float
    upper: float
    standard_error: float
    """Of the estimate, in its own unit; what sample sizes are planned with (`expectations.stats.power`)."""


def paired_difference(
    shared_right: Right, baseline_right: Right, confidence: float, groups: Groups | None = None
) -> Interval:
    """Share right of the shared model minus that of the baseline, on the same rows.

    The standard error is the one at no difference, sqrt(b + c) / N, which is McNemar's; at least one
    disagreement is assumed there, since none seen in N rows does not mean none ever.

    Raises:
        ValueError: the arrays differ in length or are empty.
    """
    if shared_right.shape != baseline_right.shape or shared_right.ndim != 1 or not shared_right.size:
        raise ValueError(
            f"expected two equally long, non-empty arrays, saw {shared_right.shape} and "
            f"{baseline_right.shape}"
        )
    n = int(shared_right.size)
    shared_only = int(np.count_nonzero(shared_right & ~baseline_right))
    baseline_only = int(np.count_nonzero(~shared_right & baseline_right))
    apart = shared_right.astype(np.float64) - baseline_right
    effect = design_effect(apart, groups)
    lower, upper = tango_bounds(shared_only / effect, baseline_only / effect, n / effect, confidence)
    return Interval(
        value=(shared_only - baseline_only) / n,
        lower=lower,
        upper=upper,
        standard_error=math.sqrt(max(shared_only + baseline_only, 1) * effect) / n,
    )


def all_alike(groups: Groups) -> float:
    """How many rows in groups are worth one row drawn alone, where the rows of a group are all alike: the sum
    of squared sizes over N (Kish 1965, Survey Sampling, section 5.4)."""
    sizes = np.bincount(groups).astype(np.float64)
    return float((sizes**2).sum() / groups.size)


def design_effect(values: NDArray[np.float64], groups: Groups | None) -> float:
    """How many rows in groups are worth one row drawn alone, at least 1: the variance of their mean over the
    variance that as many independent rows would have.

    Estimated from the groups in which a value is not 0, plus one in which all rows are alike: a few
    groups cannot show that theirs are not.

    Args:
        values: `(N,)`, what the mean is of.
    """
    if groups is None:
        return 1.0
    sizes = np.bincount(groups).astype(np.float64)
    alike = all_alike(groups)
    telling = int(np.unique(groups[values != 0]).size)
    squares = float(((values - values.mean()) ** 2).sum())
    if telling == 0 or squares == 0 or np.count_nonzero(sizes) < 2:
        return max(1.0, alike)
    count = np.count_nonzero(sizes)
    sums = np.bincount(groups, weights=values) - values.mean() * sizes
    seen = float((sums**2).sum()) / squares * count / (count - 1)
    return max(1.0, (telling * seen + alike) / (telling + 1))


def tango_bounds(
    shared_only: float, baseline_only: float, n: float, confidence: float
) -> tuple[float, float]:
    """One-sided lower and upper bound of the difference of two paired proportions.

    Tango (1998), Statistics in Medicine 17, 891–908: all differences d that the score test does not
    reject, with the other parameter at its maximum likelihood under d. Unlike the normal interval it
    keeps its coverage when few rows disagree, and it does not shrink to nothing when none does (there
    the bounds are ±z² / (N + z²)). Counts need not be whole: effective ones of rows in groups are not.

    Raises:
        ValueError: the counts are negative or more than `n`, or `n` is 0.
    """
    if n <= 0 or min(shared_only, baseline_only) < 0 or shared_only + baseline_only > n:
        raise ValueError(
            f"expected 0 <= {shared_only} + {baseline_only} <= n and n > 0, saw n = {n}: "
            "disagreements are counted among the rows"
        )
    z = float(norm.ppf(confidence))
    estimate = (shared_only - baseline_only) / n
    edge = 1.0 - 1e-12

    def excess(d: float, target: float) -> float:
        return tango_statistic(shared_only, baseline_only, n, d) - target

    lower, upper = -1.0, 1.0
    # The statistic falls from +inf at d = -1 through 0 at the estimate to -inf at d = 1.
    if baseline_only < n:
        lower = float(brentq(excess, -edge, estimate, args=(z,), xtol=1e-12)) if z > 0 else estimate
    if shared_only < n:
        upper = float(brentq(excess, estimate, edge, args=(-z,), xtol=1e-12)) if z > 0 else estimate
    return lower, upper


def tango_statistic(shared_only: float, baseline_only: float, n: float, d: float) -> float:
    """Score statistic of "the difference is d"; standard normal under it (Tango 1998, eq. 13 and 14).

    At d = 0 it is McNemar's (b - c) / sqrt(b + c).
    """
    numerator = shared_only - baseline_only - n * d
    if numerator == 0:
        return 0.0
    a = 2.0 * n
    b = -shared_only - baseline_only + (2.0 * n - shared_only + baseline_only) * d
    c = -baseline_only * d * (1.0 - d)
    root = (math.sqrt(max(b * b - 4.0 * a * c, 0.0)) - b) / (2.0 * a)
    variance = n * (2.0 * root + d * (1.0 - d))
    return numerator / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, numerator)


def wilson_interval(right: Right, confidence: float, groups: Groups | None = None) -> Interval:
    """Share right of one model (`expectations.stats.shares.wilson_bounds`).

    Raises:
        ValueError: the array is empty.
    """
    n = int(right.size)
    if n == 0:
        raise ValueError("no rows: a share of nothing has no interval")
    share = float(np.count_nonzero(right)) / n
    alone = n / design_effect(right.astype(np.float64), groups)
    lower, upper = wilson_bounds(share, alone, confidence)
    return Interval(
        value=share,
        lower=lower,
        upper=upper,
        standard_error=math.sqrt(share * (1 - share) / alone),
    )
