"""The latency gate: does sharing pay, does one request stay within its budget, and was the machine quiet?

Knows timings and rules; does not know processes or bundles.

- The *ratio* to the sum of the baselines, called one after another, is decided by its interval from a
  bootstrap of whole blocks, since requests near each other in time are alike.
- The *p95 budget* is decided by exact bounds (`expectations.gates.limits`).
- The *A/A control*, the shared bundle against a second process of itself, must have a ratio of 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from expectations.gates.limits import BROKEN, budget_figures, decide_limit, judge_p95, usable
from expectations.gates.timings import Timings
from expectations.spec import GateRules
from expectations.stats.bootstrap import Floats, bca_interval, resample_weights
from expectations.stats.paired import Interval
from expectations.verdict import Figures, Finding, Outcome, Verdict

MIN_BLOCKS = 10
"""Fewest blocks that a bootstrap over blocks can say anything from."""


def judge_latency(
    timings: Timings, rules: GateRules, heads: Sequence[str], digests: Mapping[str, str] | None = None
) -> Verdict:
    """Threads, control, ratio to the baselines and to the champion (where timed), p95 of one request.

    Args:
        digests: bundle → sha256 of the manifest of the bundle that is judged; given, the timed bytes must
            be these.
    """
    baselines = [f"baseline:{head}" for head in heads]
    limit = rules.max_latency_ratio if len(baselines) > 1 else rules.max_single_head_ratio
    findings = [
        _threads(timings, rules),
        _control(timings, rules),
        _ratio("latency vs baselines", timings, baselines, limit, rules),
    ]
    if "champion" in timings.bundles:
        limit = rules.max_champion_latency_ratio
        findings.append(_ratio("latency vs champion", timings, ["champion"], limit, rules))
    findings.append(_budget(timings, rules))
    if digests is not None:
        findings.append(_bytes(timings, digests))
    return Verdict(gate="latency", findings=tuple(findings))


def _threads(timings: Timings, rules: GateRules) -> Finding:
    figures: Figures = {"threads": timings.threads, "threads_declared": rules.latency_threads}
    if timings.threads is None:
        reason = "the timings do not name their number of threads; time again"
        return Finding(subject="threads", outcome="inconclusive", reason=reason, figures=figures)
    seen = f"timed at {timings.threads} threads, declared {rules.latency_threads}"
    if timings.threads != rules.latency_threads:
        seen += ": what was measured is not what serves; time at `gates.latency_threads`"
        return Finding(subject="threads", outcome="fail", reason=seen, figures=figures)
    return Finding(subject="threads", outcome="pass", reason=seen, figures=figures)


def _bytes(timings: Timings, digests: Mapping[str, str]) -> Finding:
    """Whether the bundles that were timed are the ones that are judged."""
    other = [name for name, digest in digests.items() if timings.digest.get(name) != digest]
    figures: Figures = {"bundles": len(digests)}
    if other:
        reason = f"other bytes were timed than are judged: {', '.join(other)}; time the bundles again"
        return Finding(subject="timed bundles", outcome="fail", reason=reason, figures=figures)
    return Finding(
        subject="timed bundles", outcome="pass", reason="the judged bytes were timed", figures=figures
    )


def _control(timings: Timings, rules: GateRules) -> Finding:
    """The shared bundle against a second process of itself."""
    tolerance, figures, subject = rules.control_tolerance, Figures(), "A/A control"
    ratio = _measure(timings, ["control"], rules, figures)
    figures |= {"compare": "control", "tolerance": tolerance}
    if not isinstance(ratio, Interval):
        return Finding(subject=subject, outcome=ratio[0], reason=ratio[1], figures=figures)
    seen = f"the shared bundle takes {_shown(ratio)} of the time of a second process of itself"
    # 1.0 must lie in the interval or within the tolerance of it: see `GateRules.control_tolerance`.
    if ratio.lower <= 1 + tolerance and ratio.upper >= 1 / (1 + tolerance):
        return Finding(subject=subject, outcome="pass", reason=seen, figures=figures)
    reason = f"{seen}, expected 1: machine too noisy; time again when it is quiet"
    return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures)


def _ratio(subject: str, timings: Timings, others: Sequence[str], limit: float, rules: GateRules) -> Finding:
    """Latency of the shared bundle over the sum of the others', passed by the upper bound."""
    figures: Figures = {"limit": limit}
    ratio = _measure(timings, others, rules, figures)
    if not isinstance(ratio, Interval):
        return Finding(subject=subject, outcome=ratio[0], reason=ratio[1], figures=figures)
    whose = others[0] if len(others) == 1 else f"{len(others)} baselines one after another"
    seen = f"takes {_shown(ratio)} of the time of {whose}, expected at most {limit:g}"
    outcome = decide_limit(ratio.lower, ratio.upper, limit)
    if outcome == "fail":
        seen += "; sharing does not pay: use a smaller encoder or cut layers"
    elif outcome == "inconclusive":
        seen += "; the interval holds both sides of it: raise `gates.latency_requests`"
    return Finding(subject=subject, outcome=outcome, reason=seen, figures=figures)


def _measure(
    timings: Timings, others: Sequence[str], rules: GateRules, figures: Figures
) -> Interval | tuple[Outcome, str]:
    """The ratio with its bounds, or why there is none. What was seen goes into `figures`."""
    figures |= {"metric": "median ms", "compare": "ratio", "unit": "ms", "confidence": rules.confidence}
    absent = [name for name in ("shared", *others) if name not in timings.bundles]
    if absent or not others:
        return "inconclusive", f"not timed: {', '.join(absent) or 'any baseline'}; time all in one run"
    if not all(usable(timings.of(name)) for name in ("shared", *others)):
        return "fail", BROKEN
    requests = timings.requests("shared")
    if any(timings.requests(name) != requests for name in others):
        return "fail", "the bundles did not get the same texts in the same blocks; time all in one run"
    shared = timings.block_medians("shared")
    sums = np.sum([timings.block_medians(name) for name in others], axis=0)
    figures |= {"shared": float(shared.mean()), "baseline": float(sums.mean())}
    figures |= {"n": len(requests), "blocks": shared.size}
    if shared.size < MIN_BLOCKS:
        return "inconclusive", f"timed in {shared.size} blocks; an interval needs at least {MIN_BLOCKS}"
    ratio = _block_bootstrap(shared, sums, rules)
    figures |= {"difference": ratio.value, "lower": ratio.lower, "upper": ratio.upper}
    return ratio


def _block_bootstrap(shared: Floats, others: Floats, rules: GateRules) -> Interval:
    """Ratio of the sums over blocks `(B,)`, with BCa bounds from resampled blocks."""
    pair = np.stack([shared, others], axis=1)
    totals = pair.sum(axis=0)
    weights = resample_weights(shared.size, resamples=rules.resamples, seed=rules.seed)
    drawn = np.concatenate([chunk.astype(np.float64) @ pair for chunk in weights])
    left = totals - pair
    value = float(totals[0] / totals[1])
    return bca_interval(value, drawn[:, 0] / drawn[:, 1], left[:, 0] / left[:, 1], rules.confidence)


def _budget(timings: Timings, rules: GateRules) -> Finding:
    """The p95 of one request for all heads, against its budget."""
    values, figures = timings.of("shared"), budget_figures(rules)
    figures["n"] = values.size
    outcome: Outcome
    if not values.size:
        outcome, reason = "inconclusive", "the shared bundle was not timed; time it"
    else:
        outcome, reason = judge_p95(values, rules, figures, remedy="use a smaller encoder")
    return Finding(subject="p95 of one request", outcome=outcome, reason=reason, figures=figures)


def _shown(ratio: Interval) -> str:
    return f"{ratio.value:.3f} [{ratio.lower:.3f}, {ratio.upper:.3f}]"
