"""The figures of a verdict as typed records: what table, page, terminal and MLflow take theirs from.

A gate keeps its figures in `Finding.figures`, by name; here each name gets its type once. Does not know how a
figure is shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast, get_args

from expectations.verdict import Comparison, Finding, Outcome, Verdict

CONTROL_REACH = 3
"""The control's bounds must lie within so many times its tolerance of 1."""
COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its bounds, each None where it could not be had."""

    value: float | None
    lower: float | None
    upper: float | None

    @property
    def whole(self) -> tuple[float, float, float] | None:
        """(Value, lower, upper); None where one of them is missing or not finite."""
        found = (self.value, self.lower, self.upper)
        if any(one is None or not math.isfinite(one) for one in found):
            return None
        return cast("tuple[float, float, float]", found)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFigures:
    """The figures of one finding."""

    subject: str
    """What was looked at, such as a head or `p95 of one request`."""
    outcome: Outcome
    comparison: Comparison | None
    """None where nothing was compared."""
    metric: str
    """Name of the metric; empty where there is none."""
    unit: str
    """`ms`, `MiB`, …; empty for shares."""
    shared: Interval
    """Of the shared model."""
    baseline: Interval
    """Of what it is compared with."""
    difference: Interval
    """Shared minus baseline, or their ratio."""
    limit: float | None
    """Margin, limit, tolerance or budget."""
    rows: int | None
    """Test rows behind the metric."""
    left_out: int | None
    """Test rows that are not compared because the other model was trained on them."""
    confidence: float | None
    """Of each one-sided bound, as a share."""
    baseline_seeds: int | None = None
    """Baselines whose mean it is compared with, where there are several."""
    baseline_low: float | None = None
    """Metric of the worst of them."""
    baseline_high: float | None = None
    """Metric of the best of them."""

    def numbers(self) -> dict[str, float]:
        """The figures that are there, by name: what MLflow keeps as metrics."""
        found = {
            "limit": self.limit,
            "rows": None if self.rows is None else float(self.rows),
            "left_out": None if self.left_out is None else float(self.left_out),
            "confidence": self.confidence,
        }
        for name, one in (("shared", self.shared), ("baseline", self.baseline)):
            found |= {name: one.value, f"{name}_lower": one.lower, f"{name}_upper": one.upper}
        apart = self.difference
        found |= {"difference": apart.value, "lower": apart.lower, "upper": apart.upper}
        found |= {"baseline_low": self.baseline_low, "baseline_high": self.baseline_high}
        return {name: value for name, value in found.items() if value is not None}


def figures_of(finding: Finding) -> FindingFigures:
    """The figures of a finding."""
    known = finding.figures
    compare = known.get("compare")

    def number(*names: str) -> float | None:
        found = next((known[name] for name in names if known.get(name) is not None), None)
        return float(found) if isinstance(found, int | float) else None

    rows, left_out, seeds = known.get("n"), known.get("left_out"), known.get("baseline_seeds")
    return FindingFigures(
        subject=finding.subject,
        outcome=finding.outcome,
        comparison=compare if compare in COMPARISONS else None,
        metric=str(known.get("metric") or ""),
        unit=str(known.get("unit") or ""),
        shared=Interval(value=number("shared"), lower=number("shared_lower"), upper=number("shared_upper")),
        baseline=Interval(
            value=number("baseline"), lower=number("baseline_lower"), upper=number("baseline_upper")
        ),
        difference=Interval(value=number("difference"), lower=number("lower"), upper=number("upper")),
        limit=number("margin", "limit", "tolerance"),
        rows=rows if isinstance(rows, int) else None,
        left_out=left_out if isinstance(left_out, int) else None,
        confidence=number("confidence"),
        baseline_seeds=seeds if isinstance(seeds, int) else None,
        baseline_low=number("baseline_low"),
        baseline_high=number("baseline_high"),
    )


def verdict_figures(verdict: Verdict) -> list[FindingFigures]:
    """The figures of every finding, in their order."""
    return [figures_of(finding) for finding in verdict.findings]
