"""The memory gate: resident set and size of what serves, against budgets and against the baselines' sums.

Knows the figures that timing leaves behind; does not know processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from expectations.gates.timings import Timings
from expectations.spec import GateRules
from expectations.verdict import Figures, Finding, Outcome, Verdict

MIB = 2**20
"""Bytes in a MiB."""


def judge_memory(timings: Timings, rules: GateRules, heads: Sequence[str]) -> Verdict:
    """Peak resident set and bundle size. They are single figures, so there is no interval to decide by.

    Args:
        heads: heads whose baselines the shared model replaces.
    """
    limit = rules.max_memory_ratio if len(heads) > 1 else rules.max_single_head_ratio
    sizes = {name: size / MIB for name, size in timings.bundle_bytes.items()}
    findings = [
        *_judge("peak memory", timings.peak_rss_mb, rules.max_memory_mb, limit, heads),
        *_judge("bundle size", sizes, rules.max_bundle_mb, limit, heads),
    ]
    return Verdict(gate="memory", findings=tuple(findings))


def _judge(
    subject: str, sizes_mb: Mapping[str, float], budget_mb: float, limit: float, heads: Sequence[str]
) -> Iterator[Finding]:
    shared = sizes_mb.get("shared")
    figures: Figures = {
        "metric": "MiB",
        "compare": "budget",
        "unit": "MiB",
        "shared": shared,
        "limit": budget_mb,
    }
    yield _within(subject, shared, budget_mb, f"{budget_mb:g} MiB", figures)
    parts = [sizes_mb[name] for name in (f"baseline:{head}" for head in heads) if name in sizes_mb]
    total = sum(parts) if parts and len(parts) == len(heads) else None
    ratio = None if shared is None or not total else shared / total
    figures = {"metric": "MiB", "compare": "ratio", "unit": "MiB", "shared": shared, "baseline": total}
    figures |= {"difference": ratio, "limit": limit}
    yield _within(f"{subject} vs baselines", ratio, limit, f"{limit:g} of the sum of the baselines", figures)


def _within(subject: str, value: float | None, limit: float, expected: str, figures: Figures) -> Finding:
    if value is None:
        reason = f"not measured; expected at most {expected}: time the bundles again"
        return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures)
    outcome: Outcome = "pass" if math.isfinite(value) and 0 < value <= limit else "fail"
    reason = f"{value:,.2f}, expected at most {expected}"
    if outcome == "fail":
        reason += "; use a smaller encoder, cut layers, or raise the limit"
    return Finding(subject=subject, outcome=outcome, reason=reason, figures=figures)
