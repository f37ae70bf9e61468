"""Bounds of shares that are looked at again and again while they are counted.

Does not know what is counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import beta, binom, norm


def share_lower(hits: float, n: float, confidence: float) -> float:
    """Exact one-sided lower bound of a share (Clopper & Pearson 1934, Biometrika 26, 404–413)."""
    return float(beta.ppf(1 - confidence, hits, n - hits + 1)) if n > 0 and hits > 0 else 0.0


def wilson_bounds(share: float, n: float, confidence: float) -> tuple[float, float]:
    """One-sided lower and upper bounds of a share of `n` (Wilson 1927, JASA 22, 209–212)."""
    z = float(norm.ppf(confidence))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def apart_lower(share: float, n: float, other: float, m: float, confidence: float) -> float:
    """Lower bound of the distance of two shares that were counted independently, of `n` and of `m`: hybrid of
    two score intervals (Newcombe 1998, Statistics in Medicine 17, 873–890, method 10). May be below 0."""
    (high, n_high), (low, n_low) = sorted([(share, n), (other, m)], reverse=True)
    least, most = wilson_bounds(high, n_high, confidence)[0], wilson_bounds(low, n_low, confidence)[1]
    return high - low - math.hypot(high - least, most - low)


def spent(error: float, look: int) -> float:
    """Error that look number `look`, from 1, may spend of `error`, so that all looks together, however many,
    spend no more: `error / (k (k + 1))` (Howard, Ramdas, McAuliffe & Sekhon 2021, Annals of Statistics 49,
    1055–1080, where looks come at geometrically growing counts)."""
    return error / (look * (look + 1))


def quantile_upper(edges: Sequence[float], up_to: Sequence[float], quantile: float, error: float) -> float:
    """Upper bound of a quantile of values that were counted in cells: the edge of the cell that holds the
    smallest value which is a bound without any assumption (Conover 1999, section 3.2). Infinite where there
    are too few values, or it lies beyond the last edge.

    Args:
        edges: upper edges of the cells, rising.
        up_to: how many values lie at or below each; the last entry, beyond the edges, is that of all.
    """
    rank = float(binom.ppf(1 - error, up_to[-1], quantile)) + 1
    return next((edge for edge, count in zip(edges, up_to, strict=False) if count >= rank), math.inf)
