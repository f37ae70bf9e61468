"""Measured figures against limits: a p95 with exact bounds, memory and sizes as they are.

Knows figures and rules; does not know where they were measured.
"""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from expectations.spec import GateRules
from expectations.stats.quantiles import QUANTILE, quantile_bounds, requests_needed
from expectations.verdict import Figures, Finding, Outcome

Floats = NDArray[np.float64]

MIB = 2**20
"""Bytes in a MiB."""
BROKEN = "a latency is not a positive finite number; the timings are broken, time again"


def decide_limit(lower: float, upper: float, limit: float) -> Outcome:
    """`pass` if the upper bound is within the limit, `fail` if the lower is beyond it or either is `nan`."""
    if math.isnan(lower) or math.isnan(upper) or lower > limit:
        return "fail"
    return "pass" if upper <= limit else "inconclusive"


def usable(values: Floats) -> bool:
    """Whether there are latencies and each is a positive finite number."""
    return bool(values.size and np.isfinite(values).all() and (values > 0).all())


def budget_figures(rules: GateRules) -> Figures:
    """Figures of a finding about the p95, before anything was measured."""
    return {"metric": "p95 ms", "compare": "budget", "unit": "ms", "limit": rules.budget_p95_ms}


def look_confidence(rules: GateRules, look: int) -> float:
    """Confidence of a bound at the n-th look at the timings, from 1.

    Who may look again until a bound holds passes by luck more often than he says. So the error that
    `rules.confidence` allows is spent in parts: half on the first look, the rest in equal parts on the later
    ones. Their sum bounds the chance of a wrong pass (Bonferroni; Lan & DeMets 1983, Biometrika 70, 659–663,
    on spending an error over looks).
    """
    error, later = 1 - rules.confidence, max(rules.latency_looks, look) - 1
    if later == 0:
        return rules.confidence
    return 1 - (error / 2 if look == 1 else error / 2 / later)


def judge_p95(
    values: Floats,
    rules: GateRules,
    figures: Figures,
    *,
    remedy: str,
    counted: str = "",
    confidence: float | None = None,
) -> tuple[Outcome, str]:
    """The p95 of latencies `(q,)` in milliseconds against its budget; what was seen goes into `figures`.

    Args:
        remedy: what to do where it is over the budget.
        counted: from when the latency is counted, for a sentence about a pass.
        confidence: of the bounds; by default `rules.confidence`.
    """
    if not usable(values):
        return "fail", BROKEN
    level = rules.confidence if confidence is None else confidence
    limit, shown, n = rules.budget_p95_ms, f"{100 * level:.4g}%", values.size
    lower, upper = quantile_bounds(values, level)
    least = requests_needed(level)
    needed = requests_needed(level, over_share=float(np.mean(values > limit)))
    figures |= {"shared": float(np.quantile(values, QUANTILE)), "confidence": level}
    figures |= {"lower": lower if math.isfinite(lower) else None}
    figures |= {"upper": upper if math.isfinite(upper) else None, "requests_needed": needed}
    budget = f"the budget is {limit:g} ms"
    outcome = decide_limit(lower, upper, limit)
    match outcome:
        case "pass":
            seen = f"at most {upper:.1f} ms ({shown}, {n} requests, at least {least} needed)"
            return outcome, f"{seen}{counted}; {budget}"
        case "fail":
            return outcome, f"at least {lower:.1f} ms ({shown}, {n} requests); {budget}: {remedy}"
        case "inconclusive":
            if math.isinf(upper):
                return outcome, f"{n} requests were timed; a p95 at {shown} needs at least {least}"
            low = f"{lower:.1f}" if math.isfinite(lower) else "–"
            more = "more requests would not decide" if needed is None else f"about {needed:,} requests would"
            return outcome, f"between {low} and {upper:.1f} ms; {budget}: {more}"
        case _:
            assert_never(outcome)


def within(subject: str, value: float | None, unit: str, field: str, figures: Figures) -> Finding:
    """A single figure against `figures["limit"]`; without an interval it decides by itself.

    Args:
        unit: what stands after the limit.
        field: of `gates`, which holds the limit.
    """
    limit = float(figures["limit"] or 0)
    if value is None:
        reason = f"not measured; expected at most {limit:g}{unit}: time the bundles again"
        return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures)
    reason = f"{value:,.2f}, expected at most {limit:g}{unit}"
    if math.isfinite(value) and 0 < value <= limit:
        return Finding(subject=subject, outcome="pass", reason=reason, figures=figures)
    reason += f"; use a smaller encoder, cut layers, or raise `gates.{field}`"
    return Finding(subject=subject, outcome="fail", reason=reason, figures=figures)
