"""How often the bounds of the accuracy gate hold: `python -m benchmarks.coverage` (two to four minutes).

Two models answer the same simulated rows; the true difference is known from the rates that the answers are
drawn with. A one-sided 95% bound should hold in 95% of the samples. The null is a shared model as good as
its baseline, the boundary one that is truly worse; there the lower bound's coverage is the gate's own error:
a model exactly at the margin passes in the share of samples in which the bound does not hold.

Beside the bounds that decide stand BCa's alone, which do not hold where few rows disagree.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expectations.stats.bootstrap import Average, compare_cells
from expectations.stats.paired import tango_bounds
from tests.support.machine import describe_machine
from tests.support.result import Measure, at_least, report

CONFIDENCE = 0.95
SIZES = (100, 400, 1600)
"""Rows of a sample."""
LOSSES = {"null": 0.0, "boundary": 0.03}
"""Share of hits that the shared model loses, in absolute terms."""
HIT, FALSE = 0.7, 0.03
"""Share of the labels that apply which a model finds, and of those that do not which it claims."""
CELLS = {
    "macro F1, 3 labels": ("macro", (0.1, 0.2, 0.4)),
    "macro F1, 8 labels, rare ones": ("macro", (0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3)),
    "micro F1, 3 labels": ("micro", (0.1, 0.2, 0.4)),
}
"""What is compared → average and how often each label applies."""
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
            resamples=resamples,
            seed=seed,
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


def main(arguments: list[str] | None = None) -> int:
    """Run the simulations and print the shares; 0 if every bound that decides holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=400, help="simulated data sets for F1")
    parser.add_argument("--resamples", type=int, default=400, help="bootstrap resamples")
    given = parser.parse_args(arguments)
    error = (CONFIDENCE * (1 - CONFIDENCE) / given.samples) ** 0.5
    least = at_least(round(CONFIDENCE - 3 * error, 3))
    measures = []
    for n in SIZES:
        for case, difference in (("null", 0.0), ("boundary", -0.03)):
            lower, upper = accuracy_coverage(n, difference, 10 * given.samples, n)
            measures.append(Measure(f"accuracy, {n} rows, {case}: lower bound holds", lower, "", least))
            measures.append(Measure(f"accuracy, {n} rows, {case}: upper bound holds", upper, "", least))
    for what, (average, prevalence) in CELLS.items():
        for n in SIZES:
            for case, loss in LOSSES.items():
                held = f1_coverage(n, np.array(prevalence), average, loss, given.samples, given.resamples)
                name = f"{what}, {n} rows, {case}"
                measures.append(Measure(f"{name}: lower bound holds", held.lower, "", least))
                measures.append(Measure(f"{name}: upper bound holds", held.upper, "", least))
                worst = min(held.bca_lower, held.bca_upper)
                measures.append(Measure(f"{name}: BCa alone, the worse bound", worst, ""))
                shown = f"lower {held.lower:.3f}, upper {held.upper:.3f}, BCa alone {worst:.3f}"
                print(f"  {name}: {shown}", file=sys.stderr, flush=True)
    return report("coverage", measures, describe_machine())


if __name__ == "__main__":
    sys.exit(main())
