"""Exact bounds of a quantile, without any assumption on the shape of the distribution.

The k-th smallest of n values is an upper bound of the 95th percentile if P(Binomial(n, 0.95) < k) is at least
the confidence (Conover 1999, Practical Nonparametric Statistics, section 3.2). No k serves while n is too
small: 59 values are needed at 95%.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

QUANTILE = 0.95
"""The percentile that budgets are about."""
MOST_REQUESTS = 1_000_000
"""Beyond this a needed count is not worth printing."""


def requests_needed(confidence: float, quantile: float = QUANTILE, over_share: float = 0.0) -> int | None:
    """Requests with which the exact binomial rule can pass, when a share of them is over the budget.

    With none over it is the smallest n with quantile^n <= 1 - confidence: 59 for 0.95 and 0.95.
    None if no number of requests up to a million would do.
    """
    if over_share >= 1 - quantile or confidence >= 1:
        return None
    n = math.ceil(math.log(1 - confidence) / math.log(quantile))
    while n <= MOST_REQUESTS:
        if binom.cdf(math.ceil(over_share * n), n, 1 - quantile) <= 1 - confidence:
            return n
        n += max(1, n // 200)
    return None


def quantile_bounds(
    values: NDArray[np.floating[Any]], confidence: float, quantile: float = QUANTILE
) -> tuple[float, float]:
    """One-sided exact bounds of a quantile; `-inf` or `inf` where the sample is too small for one."""
    n, ordered = values.size, np.sort(values)
    ranks = np.arange(1, n + 1)
    below = binom.cdf(ranks - 1, n, quantile)  # P(the k-th smallest lies above the quantile)
    uppers, lowers = ranks[below >= confidence], ranks[1 - below >= confidence]
    upper = float(ordered[uppers[0] - 1]) if uppers.size else math.inf
    return (float(ordered[lowers[-1] - 1]) if lowers.size else -math.inf), upper
