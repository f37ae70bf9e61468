"""Paired bootstrap of F1: how far apart two models are, on the same rows, when no formula says so.

A resample draws N rows with replacement. It is a vector of how often each row was drawn, so the counts
behind F1 in every resample come from one matrix product `W (R, N) @ X (N, K)` instead of R passes over
the rows. Counts below 2^24 are exact in float32; larger ones are kept in float64. Rows of one group are drawn
together (cluster bootstrap: Davison & Hinkley 1997, Bootstrap Methods, section 3.8). Does not know heads.

BCa alone is not enough for a gate. Only the rows on which two models disagree tell them apart, and those
are few: BCa's bounds then hold in 88% to 93% of samples instead of 95% (`benchmarks.coverage`, decision
0016), and with no disagreement at all they shrink to nothing. `widened` makes the difference's bounds hold,
and `expectations.stats.rare_labels` makes those of macro-F1 hold where a loss may sit on labels of few rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from expectations.stats.paired import Groups, Interval
from expectations.stats.rare_labels import LabelCounts, Reach, count_labels, reach, telling_rows

Floats = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]
Cells = NDArray[np.int8]
Average = Literal["macro", "micro", "cells"]

CHUNK_CELLS = 4_000_000
"""Most cells of a weight matrix held at once: 16 MB in float32."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """What is drawn, and how often."""

    resamples: int
    seed: int
    groups: Groups | None = None
    """`(N,)` numbers from 0: rows that are alike, or of one customer. None: each row alone."""
    absent_hide: bool = True
    """Whether a label without a true row may hide a loss, up to 1 / L of macro-F1. Not so where the rows are
    a part in which it need not occur."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two models' figures on the same rows and their difference, each with bounds."""

    shared: Interval
    baseline: Interval
    difference: Interval
    bca: Interval | None = None
    """The difference with BCa's bounds alone, where they were `widened`: for whoever studies them."""
    spread: Interval | None = None
    """The same after `widened`: right where a loss is spread over the rows, blind to one on rare labels."""
    hidden_by: tuple[int, ...] = ()
    """Labels whose few rows push the lower bound beyond that of `spread`, those without any row first."""


def compare_cells(
    targets: Cells,
    shared: Cells,
    baseline: Cells,
    *,
    average: Average,
    confidence: float,
    draws: Draws,
) -> Comparison:
    """BCa bounds of each model's figure and of their difference (Efron 1987, JASA 82, 171–185), those of
    the difference `widened` where few rows disagree, and for macro-F1 by what rare labels can hide.

    Args:
        targets: `(N, L)`, 1 applies, 0 does not, -1 unknown: the cell counts for neither model.
        shared: `(N, L)`, the shared model's answers, 1 where the label applies, else 0.
        baseline: `(N, L)`, the baseline's answers.
        average: `macro`, the mean of the labels' F1 (a label that neither occurs nor is answered counts
            0, for both models alike); `micro`, F1 over all cells; `cells`, the share of right cells.

    Raises:
        ValueError: the shapes differ, or there are no rows or labels.
    """
    if targets.ndim != 2 or not targets.size or not targets.shape == shared.shape == baseline.shape:
        raise ValueError(
            f"expected three equal, non-empty (N, L), saw {targets.shape}, {shared.shape}, {baseline.shape}"
        )
    groups = draws.groups
    if groups is not None and groups.shape != targets.shape[:1]:
        raise ValueError(f"groups {groups.shape}: expected one number for each of {targets.shape[0]} rows")
    one, other = _counts(targets, shared, average), _counts(targets, baseline, average)
    differs = _by_group((one != other).any(axis=1, keepdims=True).astype(np.int32), groups)
    both = _by_group(np.concatenate([one, other], axis=1), groups)
    n = both.shape[0]
    totals = both.sum(axis=0, dtype=np.float64)
    # Resampled totals stray from these by far less than a factor of 2, so they stay exact too.
    counts: Reals = both.astype(np.float32 if totals.max() < 2**23 else np.float64)
    half = counts.shape[1] // 2

    def figures(sums: Reals) -> Floats:
        """Totals `(R, 4K)` → `(R, 3)`: of shared, of baseline, difference."""
        first, second = _mean_ratio(sums[:, :half]), _mean_ratio(sums[:, half:])
        return np.stack([first, second, first - second], axis=1)

    estimate = figures(totals[None, :])[0]
    drawn = np.concatenate(
        [
            figures(weights @ counts)
            for weights in resample_weights(n, resamples=draws.resamples, seed=draws.seed)
        ]
    )
    step = max(1, CHUNK_CELLS // counts.shape[1])
    left_out = np.concatenate([figures(totals - counts[at : at + step]) for at in range(0, n, step)])
    of_shared, of_baseline, difference = (
        bca_interval(float(estimate[k]), drawn[:, k], left_out[:, k], confidence) for k in range(3)
    )
    disagreeing = int(np.count_nonzero(differs))
    # What it costs the shared model to miss every label of a row, on average over the rows.
    nothing = _by_group(_counts(targets, np.zeros_like(shared), average), groups)
    missed = counts[:, :half] - nothing.astype(counts.dtype)
    worse = [_mean_ratio(totals[None, :half] - missed[at : at + step]) for at in range(0, n, step)]
    row_worth = float(np.abs(estimate[0] - np.concatenate(worse)).mean())
    spread = widened(difference, n, disagreeing, row_worth, confidence)
    decides = spread
    hidden_by: tuple[int, ...] = ()
    if average == "macro":
        known = count_labels(targets, shared, baseline, groups)
        telling = telling_rows(left_out[:, 2].mean() - left_out[:, 2])
        decides, hidden_by = _with_rare_labels(spread, known, confidence, telling, draws.absent_hide)
    return Comparison(
        shared=of_shared,
        baseline=of_baseline,
        difference=decides,
        bca=difference,
        spread=spread,
        hidden_by=hidden_by,
    )


def _with_rare_labels(
    spread: Interval, counts: LabelCounts, confidence: float, telling: float, absent_hide: bool
) -> tuple[Interval, tuple[int, ...]]:
    """Both bounds by what rare labels can hide, and the labels that push the lower one."""
    error = spread.standard_error
    if not np.isfinite([spread.lower, spread.upper, error]).all():
        return spread, ()

    def half(counts: LabelCounts, half: float) -> Reach:
        return reach(counts, half, error, confidence, telling=telling, absent_hide=absent_hide)

    lower = half(counts, spread.value - spread.lower)
    upper = half(counts.swapped(), spread.upper - spread.value)
    bounds = replace(spread, lower=spread.value - lower.half, upper=spread.value + upper.half)
    return bounds, lower.labels


def _by_group(counts: NDArray[np.int32], groups: Groups | None) -> NDArray[np.int32]:
    """`(N, K)` rows → `(G, K)` sums of each group; as they are where there are none."""
    if groups is None:
        return counts
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    return np.asarray(np.add.reduceat(counts[order], starts, axis=0), dtype=np.int32)


def resample_weights(n: int, *, resamples: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each of `n` rows was drawn: chunks `(r, n)` of `resamples` rows in all, each adding to n."""
    rng = np.random.default_rng(seed)
    chunk = max(1, min(resamples, CHUNK_CELLS // n))
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = rng.integers(0, n, size=(rows, n))
        drawn += np.arange(0, rows * n, n)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float32)


def bca_interval(estimate: float, drawn: Floats, left_out: Floats, confidence: float) -> Interval:
    """Bias-corrected and accelerated bounds from resampled values `(R,)` and leave-one-out values `(N,)`.

    Efron 1987; ties count half in the bias correction (the estimate itself is discrete). Where all
    resamples agree the bounds are the estimate.
    """
    spread = float(drawn.std(ddof=1)) if drawn.size > 1 else 0.0
    if spread == 0.0 or not np.isfinite(drawn).all():
        bound = estimate if np.isfinite(drawn).all() else float("nan")
        return Interval(value=estimate, lower=bound, upper=bound, standard_error=spread)
    below = np.count_nonzero(drawn < estimate) + 0.5 * np.count_nonzero(drawn == estimate)
    # All on one side would put the correction at infinity; half a resample keeps it at the edge.
    bias = float(norm.ppf(np.clip(below / drawn.size, 0.5 / drawn.size, 1 - 0.5 / drawn.size)))
    away = left_out.mean() - left_out
    squares = float((away**2).sum())
    acceleration = float((away**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0

    def quantile(z: float) -> float:
        shifted = bias + z
        stretch = 1 - acceleration * shifted
        # Beyond the pole the transformation has run off the end of the distribution.
        level = float(norm.cdf(bias + shifted / stretch)) if stretch > 0 else float(shifted > 0)
        return float(np.quantile(drawn, level))

    z = float(norm.ppf(confidence))
    return Interval(value=estimate, lower=quantile(-z), upper=quantile(z), standard_error=spread)


def widened(interval: Interval, n: int, disagreeing: int, row_worth: float, confidence: float) -> Interval:
    """Bounds of a difference that also hold when few of the `n` rows tell the models apart.

    Each bound is the furthest of three: BCa's; Student's, with the bootstrap's standard error and as many
    degrees of freedom as there are disagreeing rows less one (Hesterberg 2015, The American Statistician 69,
    371–386, on why percentile bounds are too narrow in small samples); and what could have gone unseen. No
    disagreement in n rows means at most a share 1 - (1 - confidence)^(1/n) of them, about 3/n, with that
    confidence; each is worth `row_worth` of the metric. With labels of 2% and 400 rows the lower bound still
    held in 93.2% of 250 simulated samples of a model at its boundary (decision 0016), BCa's in 90.4%.

    Args:
        disagreeing: rows on which the two models' counts differ.
        row_worth: by how much the metric moves when one average row is answered wrongly, at least 0.
    """
    unseen = n * (1.0 - (1.0 - confidence) ** (1.0 / n)) * row_worth
    reach = float(t.ppf(confidence, disagreeing - 1)) * interval.standard_error if disagreeing > 1 else 0.0
    half = max(unseen, reach)
    return Interval(
        value=interval.value,
        lower=min(interval.lower, interval.value - half),
        upper=max(interval.upper, interval.value + half),
        standard_error=interval.standard_error,
    )


def _counts(targets: Cells, answers: Cells, average: Average) -> NDArray[np.int32]:
    """`(N, 2K)`: what stands above, then below the fraction bar; K labels for macro, else 1.

    F1 = 2 TP / (answered + true); a share of cells = right / known.
    """
    known, true, positive = targets >= 0, targets == 1, answers == 1
    above = 2 * (true & positive).astype(np.int32)
    below = true.astype(np.int32) + (positive & known)
    match average:
        case "macro":
            return np.concatenate([above, below], axis=1)
        case "micro":
            parts = [above.sum(axis=1), below.sum(axis=1)]
        case "cells":
            parts = [(known & (true == positive)).sum(axis=1), known.sum(axis=1)]
        case _:
            assert_never(average)
    return np.stack(parts, axis=1).astype(np.int32)


def _mean_ratio(totals: Reals) -> Floats:
    """Totals `(R, 2K)` → mean of the K ratios `(R,)`, 0 for 0 / 0."""
    half = totals.shape[1] // 2
    above, below = totals[:, :half].astype(np.float64), totals[:, half:].astype(np.float64)
    shares: Floats = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return np.asarray(shares.mean(axis=1))
