"""The memory gate: resident set and size of what serves, against budgets and against the baselines' sums.

Knows the figures that timing leaves behind; does not know processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from expectations.gates.limits import MIB, within
from expectations.gates.timings import Timings
from expectations.spec import GateRules
from expectations.verdict import Figures, Finding, Verdict


def judge_memory(timings: Timings, rules: GateRules, heads: Sequence[str]) -> Verdict:
    """Peak resident set and bundle size. They are single figures, so there is no interval to decide by.

    Args:
        heads: heads whose baselines the shared model replaces.
    """
    sizes = {name: size / MIB for name, size in timings.bundle_bytes.items()}
    findings = [
        *_judge("peak memory", timings.peak_rss_mb, "max_memory_mb", rules, heads),
        *_judge("bundle size", sizes, "max_bundle_mb", rules, heads),
    ]
    return Verdict(gate="memory", findings=tuple(findings))


def _judge(
    subject: str, sizes_mb: Mapping[str, float], field: str, rules: GateRules, heads: Sequence[str]
) -> Iterator[Finding]:
    shared = sizes_mb.get("shared")
    common: Figures = {"metric": "MiB", "unit": "MiB", "shared": shared}
    yield within(
        subject, shared, " MiB", field, {**common, "compare": "budget", "limit": getattr(rules, field)}
    )
    parts = [sizes_mb[name] for name in (f"baseline:{head}" for head in heads) if name in sizes_mb]
    total = sum(parts) if parts and len(parts) == len(heads) else None
    ratio = None if shared is None or not total else shared / total
    field = "max_memory_ratio" if len(heads) > 1 else "max_single_head_ratio"
    figures: Figures = {**common, "compare": "ratio", "baseline": total, "difference": ratio}
    figures["limit"] = getattr(rules, field)
    yield within(f"{subject} vs baselines", ratio, " of the sum of the baselines", field, figures)
