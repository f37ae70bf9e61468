"""How far two samples lie apart, and how far two samples of one distribution would.

Cells p (now) and q (then), each count raised by one half so that a cell that is empty on one side gives a
finite figure:

- population stability index  PSI = Σ (pᵢ − qᵢ) ln(pᵢ / qᵢ), in nats (the symmetrised Kullback–Leibler
  divergence of Jeffreys, 1946); 0.1 and 0.25 are the levels that credit scoring has long used;
- Jensen–Shannon divergence  JS = H((p+q)/2) − (H(p) + H(q))/2, in bits, between 0 and 1 (Lin 1991).

Two samples of one distribution differ too: with n and m rows and k cells, PSI is then distributed as
(1/n + 1/m) χ²(k−1) (Yurdakul 2018, "Statistical properties of population stability index").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z_99 = 2.3263478740408408
"""99% quantile of the standard normal distribution."""


def shares(counts: ArrayLike) -> NDArray[np.float64]:
    """Counts (K,) as shares (K,), each count raised by one half."""
    raised = np.asarray(counts, dtype=np.float64) + 0.5
    return np.asarray(raised / raised.sum())


def population_stability_index(now: ArrayLike, then: ArrayLike) -> float:
    """PSI of two arrays of counts (K,) over the same cells, in nats, ≥ 0; symmetric."""
    p, q = shares(now), shares(then)
    return float(np.sum((p - q) * np.log(p / q)))


def jensen_shannon(now: ArrayLike, then: ArrayLike) -> float:
    """Jensen–Shannon divergence of two arrays of counts (K,), in bits, in [0, 1]; symmetric."""
    p, q = shares(now), shares(then)
    middle = (p + q) / 2
    return float(np.clip((np.sum(p * np.log2(p / middle)) + np.sum(q * np.log2(q / middle))) / 2, 0.0, 1.0))


def psi_noise(cells: int, rows: int, rows_then: int) -> float:
    """99% quantile of PSI between two samples of one distribution.

    χ² by the Wilson–Hilferty cube (1931), within 2% of the exact quantile for two cells or more.
    """
    freedom = max(cells - 1, 1)
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + Z_99 * np.sqrt(spread)) ** 3
    return float((1 / rows + 1 / rows_then) * quantile)


def share_noise(share: float, share_then: float, n: int, n_then: int) -> float:
    """99% quantile of the difference of two shares of `n` and `n_then` draws of one distribution, with the
    pooled share: z √(p (1 − p) (1/n + 1/m))."""
    pooled = (share * n + share_then * n_then) / (n + n_then)
    return float(Z_99 * np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_then)))


def rebin(histogram: Mapping[str, Any], edges: ArrayLike) -> NDArray[np.float64]:
    """Counts of a histogram (`edges`, `counts`) between other edges (K+1,): (K,), spread evenly within each
    old bin.

    What lies outside goes into the first and last cell, so that nothing is lost.
    """
    old, below = _cumulative(histogram)
    inner = np.interp(np.asarray(edges, dtype=np.float64)[1:-1], old, below)
    return np.diff(np.concatenate([[0.0], inner, [below[-1]]]))


def quantile_edges(histogram: Mapping[str, Any], cells: int) -> NDArray[np.float64]:
    """Edges (at most cells+1,) between which the histogram has equal counts."""
    old, below = _cumulative(histogram)
    # Empty bins would make the inverse of the cumulative count ambiguous: keep the rising steps only.
    rising = np.concatenate([[True], np.diff(below) > 0])
    return np.asarray(np.unique(np.interp(np.linspace(0, below[-1], cells + 1), below[rising], old[rising])))


def _cumulative(histogram: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges, and how much lies below each: both (K+1,)."""
    edges = np.asarray(histogram["edges"], dtype=np.float64)
    return edges, np.concatenate([[0.0], np.cumsum(np.asarray(histogram["counts"], dtype=np.float64))])
