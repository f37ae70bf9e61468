"""How often the bounds of the accuracy gate hold on simulated answers.

Two models answer simulated rows (`tests.support.simulated_bounds`). The null is a shared model as
good as its baseline, the boundary one that is truly worse; there the lower bound's coverage is the gate's own
error: a model exactly at the margin passes in the share of samples in which the bound does not hold. Beside
the bounds that decide are BCa's alone, which do not hold where few rows disagree (decision 0016).
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from expectations.stats.bootstrap import Average
from tests.support.contract import Report, Size, run
from tests.support.measures import Measure, at_least
from tests.support.simulated_bounds import CONFIDENCE, accuracy_coverage, f1_coverage

GOAL = "one-sided 95% bounds hold in 95% of samples (3 standard errors)"
QUICK_S, WHOLE_S = 5, 180
SIZES = {
    "samples": Size(400, 40, "simulated data sets for F1"),
    "resamples": Size(400, 100, "bootstrap resamples"),
    "rows": Size((100, 400, 1600), (100, 400), "rows of a sample"),
}
LOSSES = {"null": 0.0, "boundary": 0.03}
"""Share of hits that the shared model loses, in absolute terms."""
CELLS: dict[str, tuple[Average, tuple[float, ...]]] = {
    "macro F1, 3 labels": ("macro", (0.1, 0.2, 0.4)),
    "macro F1, 8 labels, rare ones": ("macro", (0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3)),
    "micro F1, 3 labels": ("micro", (0.1, 0.2, 0.4)),
}
"""What is compared → average and how often each label applies."""


def measure(options: argparse.Namespace) -> Report:
    """The shares of samples in which each bound holds."""
    error = (CONFIDENCE * (1 - CONFIDENCE) / options.samples) ** 0.5
    least = at_least(round(CONFIDENCE - 3 * error, 3))
    measures = []
    for n in options.rows:
        for case, loss in LOSSES.items():
            lower, upper = accuracy_coverage(n, -loss, 10 * options.samples, n)
            measures.append(Measure(f"accuracy, {n} rows, {case}: lower bound holds", lower, "", least))
            measures.append(Measure(f"accuracy, {n} rows, {case}: upper bound holds", upper, "", least))
    few = "100 resamples place a 5% bound only roughly; the gate uses 2,000" if options.quick else ""
    for what, (average, prevalence) in CELLS.items():
        for n in options.rows:
            for case, loss in LOSSES.items():
                held = f1_coverage(n, np.array(prevalence), average, loss, options.samples, options.resamples)
                name = f"{what}, {n} rows, {case}"
                measures.append(Measure(f"{name}: lower bound holds", held.lower, "", least, few))
                measures.append(Measure(f"{name}: upper bound holds", held.upper, "", least, few))
                worst = min(held.bca_lower, held.bca_upper)
                measures.append(Measure(f"{name}: BCa alone, the worse bound", worst))
                print(
                    f"  {name}: lower {held.lower:.3f}, upper {held.upper:.3f}, BCa {worst:.3f}", flush=True
                )
    return Report(measures)


if __name__ == "__main__":
    sys.exit(run(measure))
