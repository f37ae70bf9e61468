"""The ratio of two sums over blocks of requests, with bounds from a bootstrap of whole blocks.

Requests near each other in time are alike, so blocks are resampled and not requests. Does not know what took
the time.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import t

from expectations.stats.bootstrap import Floats, bca_interval, resample_weights
from expectations.stats.paired import Interval


def block_ratio(shared: Floats, others: Floats, *, confidence: float, resamples: int, seed: int) -> Interval:
    """Ratio of the sums over blocks `(B,)`. Bounds are BCa's, or Student's with the bootstrap's standard
    error where those reach further: BCa's alone are too narrow for ten or twenty blocks (decision 38)."""
    pair = np.stack([shared, others], axis=1)
    totals = pair.sum(axis=0)
    weights = resample_weights(shared.size, resamples=resamples, seed=seed)
    drawn = np.concatenate([chunk.astype(np.float64) @ pair for chunk in weights])
    left = totals - pair
    value = float(totals[0] / totals[1])
    bca = bca_interval(value, drawn[:, 0] / drawn[:, 1], left[:, 0] / left[:, 1], confidence)
    reach = float(t.ppf(confidence, shared.size - 1)) * bca.standard_error
    return Interval(
        value=value,
        lower=min(bca.lower, value - reach),
        upper=max(bca.upper, value + reach),
        standard_error=bca.standard_error,
    )


UNDISTURBED = 0.3
"""Share of the blocks in which a bundle counts as undisturbed: those whose wall time was the least beside its
processor time. Noise only lengthens, so short times are truer (Chen & Revels 2016, Robust benchmarking in
noisy environments); the shortest of all are too few to compare (decision 38)."""


def undisturbed_ratio(
    processor: Floats, stretches: Floats, *, confidence: float, resamples: int, seed: int
) -> Interval:
    """Ratio of wall times as they would be without other work: processor time times how much longer wall time
    was where it was disturbed least. It sees a bundle wait, or leave threads idle, which processor time
    does not.

    Args:
        processor: `(M, B)` processor time of each bundle in each block, the shared one first.
        stretches: `(M, B)` wall time over processor time of the less disturbed requests of each block.
    """
    rng, blocks = np.random.default_rng(seed), processor.shape[1]
    drawn = np.empty((processor.shape[0], resamples))
    for start in range(0, resamples, 200):  # at once they would take (M, R, B)
        at = rng.integers(0, blocks, size=(min(200, resamples - start), blocks))
        low = np.quantile(stretches[:, at], UNDISTURBED, axis=-1)
        drawn[:, start : start + at.shape[0]] = processor[:, at].sum(axis=-1) * low
    whole = processor.sum(axis=1) * np.quantile(stretches, UNDISTURBED, axis=1)
    value, ratios = float(whole[0] / whole[1:].sum()), drawn[0] / drawn[1:].sum(axis=0)
    error = float(ratios.std(ddof=1))
    reach = float(t.ppf(confidence, blocks - 1)) * error
    lower, upper = (float(bound) for bound in np.quantile(ratios, [1 - confidence, confidence]))
    return Interval(
        value=value,
        lower=min(lower, value - reach),
        upper=max(upper, value + reach),
        standard_error=error,
    )
