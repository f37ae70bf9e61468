"""Measured figures against limits: a p95 with exact bounds, memory and sizes as they are.

Knows figures and rules; does not know where they were measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from expectations.spec import GateRules
from expectations.stats.quantiles import QUANTILE, quantile_bounds, requests_needed
from expectations.verdict import Figures, Finding, Outcome, said

Floats = NDArray[np.float64]

MIB = 2**20
"""Bytes in a MiB."""
BROKEN = (
    "0 ratios can be had, since a latency is not a positive finite number: the timings are broken; time "
    "again (`headgate judge`)"
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Which latency is judged, in words."""

    what: str
    """Begins the sentence."""
    requests: str
    """Field of `gates` that says how many requests are timed."""
    remedy: str
    """What to do where it is over the budget."""
    counted: str = ""
    """From when the latency is counted, for a sentence about a pass."""


def judge_p95(
    values: Floats, rules: GateRules, figures: Figures, timed: Timed, *, confidence: float | None = None
) -> tuple[Outcome, str]:
    """The p95 of latencies `(q,)` in milliseconds against its budget; what was seen goes into `figures`.

    Args:
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
    budget, more = f"`gates.budget_p95_ms` (now {limit:g})", f"`gates.{timed.requests}`"
    outcome = decide_limit(lower, upper, limit)
    match outcome:
        case "pass":
            seen = f"{timed.what} is at most {upper:.1f} ms ({shown}, {n} requests, at least {least} needed)"
            return outcome, f"{seen}{timed.counted}; the budget is {limit:g} ms"
        case "fail":
            seen = f"{timed.what} is at least {lower:.1f} ms ({shown}, {n} requests), over the budget"
            return outcome, f"{seen}: {timed.remedy}, or raise {budget}"
        case "inconclusive":
            if math.isinf(upper):
                seen = (
                    f"{timed.what} has no upper bound, since {n} requests were timed and {shown} needs "
                    f"{least}"
                )
                return outcome, f"{seen}: raise {more}"
            low = f"{lower:.1f}" if math.isfinite(lower) else "–"
            seen = f"{timed.what} is between {low} and {upper:.1f} ms ({shown}, {n} requests)"
            if needed is None:
                return outcome, f"{seen}, and more requests would not decide: raise {budget}"
            return (
                outcome,
                f"{seen}, on both sides of {limit:g} ms: about {needed:,} requests decide; raise {more}",
            )
        case _:
            assert_never(outcome)


def beside_others(reason: str, busy: float) -> str:
    """The reason of a failure that other work on the machine may explain.

    Args:
        busy: cores that it kept busy.
    """
    seen, _, advice = reason.partition(": ")
    return (
        f"{seen}, while other work kept {busy:.1f} cores busy: time again when it is quiet (`headgate "
        f"judge`), {advice}"
    )


def within(subject: str, value: float | None, unit: str, field: str, figures: Figures) -> Finding:
    """A single figure against `figures["limit"]`; without an interval it decides by itself.

    Args:
        unit: what stands after the limit.
        field: of `gates`, which holds the limit.
    """
    limit = float(figures["limit"] or 0)
    what, setting = said(subject.removesuffix(" vs baselines")), f"`gates.{field}` (now {limit:g})"
    if value is None:
        reason = f"{what} was measured 0 times; run `headgate retrain` again, which holds it to {setting}"
        return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures)
    if math.isfinite(value) and 0 < value <= limit:
        reason = f"{value:,.2f}, expected at most {limit:g}{unit}"
        return Finding(subject=subject, outcome="pass", reason=reason, figures=figures)
    reason = f"{what} is {value:,.2f}{unit}, too much: use a smaller encoder, cut layers, or raise {setting}"
    return Finding(subject=subject, outcome="fail", reason=reason, figures=figures)
