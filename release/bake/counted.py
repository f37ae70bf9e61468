"""What an endpoint counted of a version, and the rule that it is judged by, for `expectations.live`."""

from __future__ import annotations

from expectations.live import Allowed, Durations, HeadAnswers, Traffic
from serving.counts import UP_TO, VersionCounts, heads_of
from serving.spec import BakeSpec


def allowed_by(rule: BakeSpec) -> Allowed:
    """A rule as `expectations.live` takes it."""
    return Allowed(
        error_share=rule.max_error_share,
        p95_ratio=rule.max_p95_ratio,
        label_shift=rule.max_label_shift,
        requests=rule.min_requests,
    )


def traffic_of(counts: VersionCounts) -> Traffic:
    """Counts as `expectations.live` takes them."""
    return Traffic(
        answered=counts.get("answered", 0.0),
        failed=counts.get("failed", 0.0),
        durations=durations_of(counts),
        heads={
            head: HeadAnswers(
                requests=counts.get(f"requests {head}", 0.0),
                texts=counts.get(f"texts {head}", 0.0),
                labels={
                    name.removeprefix(f"label {head} "): value
                    for name, value in counts.items()
                    if name.startswith(f"label {head} ")
                },
            )
            for head in heads_of(counts)
        },
    )


def durations_of(counts: VersionCounts) -> Durations:
    """How long answers took."""
    cells = sorted(
        (float(name.removeprefix(UP_TO)), value) for name, value in counts.items() if name.startswith(UP_TO)
    )
    return Durations(edges=[edge for edge, _ in cells[:-1]], up_to=[value for _, value in cells])
