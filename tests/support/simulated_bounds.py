"""How often the bounds of the accuracy gate hold, on simulated answers of two models.

The true difference is known from the rates that the answers are drawn with. A one-sided 95% bound should
hold in 95% of the samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expectations.stats.bootstrap import Average, Draws, compare_cells
from expectations.stats.paired import tango_bounds

CONFIDENCE = 0.95
HIT, FALSE = 0.7, 0.03
"""Share of the labels that apply which a model finds, and of those that do not which it claims."""
REDRAWN = 0.1
"""Share of the cells that the two models answer independently; the others they answer alike, as a shared
model and its baseline mostly do."""


@dataclass(frozen=True, slots=True)
class Held:
    """Shares of samples in which a bound held."""

    lower: float
    upper: float
    bca_lower: float
    bca_upper: float


def accuracy_coverage(n: int, difference: float, samples: int, seed: int) -> tuple[float, float]:
    """Shares of samples in which Tango's lower and upper bound hold; 6% of rows are right in the shared
    model only, 6% less `difference` in the baseline only."""
    chances = [0.06, 0.06 - difference, 0.88 + difference]
    draws = np.random.default_rng(seed).multinomial(n, chances, size=samples)
    known: dict[tuple[int, int], tuple[float, float]] = {}
    held = np.zeros(2)
    for one, other, _ in draws.tolist():
        if (one, other) not in known:
            known[one, other] = tango_bounds(one, other, n, CONFIDENCE)
        lower, upper = known[one, other]
        held += (lower <= difference, upper >= difference)
    return float(held[0] / samples), float(held[1] / samples)


def f1_coverage(
    n: int, prevalence: NDArray[np.float64], average: Average, loss: float, samples: int, resamples: int
) -> Held:
    """Shares of samples in which the bounds of the difference in F1 hold, widened and BCa's alone."""
    truth = _f1(prevalence, HIT - loss, average) - _f1(prevalence, HIT, average)
    rng = np.random.default_rng(n)
    held = np.zeros(4)
    for seed in range(samples):
        targets, shared, baseline = _answers(rng, n, prevalence, loss)
        found = compare_cells(
            targets,
            shared,
            baseline,
            average=average,
            confidence=CONFIDENCE,
            draws=Draws(resamples=resamples, seed=seed),
        )
        assert found.bca is not None
        for at, interval in enumerate((found.difference, found.bca)):
            held[2 * at : 2 * at + 2] += (interval.lower <= truth, interval.upper >= truth)
    return Held(*(held / samples).tolist())


def _answers(
    rng: np.random.Generator, n: int, prevalence: NDArray[np.float64], loss: float
) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int8]]:
    shape = (n, prevalence.size)
    targets = rng.random(shape) < prevalence
    rate = np.where(targets, HIT, FALSE)
    baseline = rng.random(shape) < rate
    shared = np.where(rng.random(shape) < REDRAWN, rng.random(shape) < rate, baseline)
    shared &= ~(targets & (rng.random(shape) < loss / HIT))
    return targets.astype(np.int8), shared.astype(np.int8), baseline.astype(np.int8)


def _f1(prevalence: NDArray[np.float64], hit: float, average: Average) -> float:
    """F1 in the population."""
    found = prevalence * hit
    sides = found + (1 - prevalence) * FALSE + prevalence
    return float(2 * found.sum() / sides.sum() if average == "micro" else np.mean(2 * found / sides))
