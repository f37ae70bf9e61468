"""What a version answers to real requests, held beside what is allowed: while it is watched after a swap.

A bound is broken only beyond doubt: an interval has to lie wholly outside, at 99% for all that is looked at,
all looks together. Pure functions of counts; does not know where they come from nor what follows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expectations.stats.quantiles import QUANTILE
from expectations.stats.shares import apart_lower, quantile_upper, share_lower, spent

ERROR = 0.01
"""Chance that a version within all bounds is found outside of one, over all that is looked at."""
KINDS = 3
"""What is looked at: failures, time, labels. Each spends the same part of the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """How far a version may stray."""

    error_share: float
    """Failures among all requests that it answered or failed at."""
    p95_ratio: float
    """Its 95th percentile of time over the former version's."""
    label_shift: float
    """Distance of any label's share from that on the test rows."""
    requests: int
    """With fewer, time and labels are not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long answers took, in cells."""

    edges: Sequence[float]
    """Upper edges, in seconds, rising."""
    up_to: Sequence[float]
    """Answers that took at most as long as each edge; one entry more: all."""

    @property
    def answers(self) -> float:
        """How many there were."""
        return self.up_to[-1] if self.up_to else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadAnswers:
    """What a head answered to some texts."""

    requests: float
    """Independent draws: requests, whose texts may be alike, or test rows."""
    texts: float
    labels: Mapping[str, float]
    """Label → texts that it was answered for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a version answered to real requests."""

    answered: float
    failed: float
    durations: Durations
    heads: Mapping[str, HeadAnswers]

    @property
    def requests(self) -> float:
        """All that say something of it. What was refused, for want of room or for what the client sent, does
        not."""
        return self.answered + self.failed


def broken(
    traffic: Traffic,
    allowed: Allowed,
    *,
    tested: Mapping[str, HeadAnswers],
    former: Durations | None,
    look: int,
) -> tuple[str, ...]:
    """Bounds that the version breaks beyond doubt, one sentence each; none where all may be well.

    Args:
        traffic: what it answered so far.
        tested: head → what it answered on its test rows; heads that are missing are not judged.
        former: how long the former version's answers took, if that is known.
        look: how many looks there were, with this one.
    """
    error = spent(ERROR / KINDS, look)
    found = list(_failures(traffic, allowed, error))
    if traffic.requests >= allowed.requests:
        found += _time(traffic.durations, former, allowed, error)
        found += _labels(traffic.heads, tested, allowed, error)
    return tuple(found)


def compared_time(former: Durations | None, least: int) -> bool:
    """Whether the former version answered enough to be held beside."""
    return former is not None and former.answers >= least and bool(former.edges)


def evident_answers(evidence: Mapping[str, Any]) -> dict[str, HeadAnswers]:
    """What `expectations.gates.scores.answered_labels` found, out of signed evidence; without the heads of
    which that says something else."""
    found = {}
    for name, head in evidence.items():
        try:
            rows, labels = float(head["rows"]), {str(k): float(v) for k, v in head["labels"].items()}
        except (TypeError, KeyError, ValueError, AttributeError):
            continue
        if rows > 0 and math.isfinite(rows):
            found[name] = HeadAnswers(requests=rows, texts=rows, labels=labels)
    return found


def _failures(traffic: Traffic, allowed: Allowed, error: float) -> Iterator[str]:
    if share_lower(traffic.failed, traffic.requests, 1 - error) > allowed.error_share:
        yield (
            f"{traffic.failed:.0f} of {traffic.requests:.0f} requests failed "
            f"({traffic.failed / traffic.requests:.1%}), max_error_share is {allowed.error_share:.1%}"
        )


def _time(now: Durations, former: Durations | None, allowed: Allowed, error: float) -> Iterator[str]:
    if former is None or not compared_time(former, allowed.requests) or now.answers <= 0:
        return
    # It is bounded once, as it was when the watch began; what follows is looked at again and again.
    before_s = quantile_upper(former.edges, former.up_to, QUANTILE, ERROR / KINDS / 2)
    limit_s = allowed.p95_ratio * before_s
    at = next((index for index, edge in enumerate(now.edges) if edge >= limit_s), None)
    if at is None:
        return
    slower = now.answers - now.up_to[at]
    if share_lower(slower, now.answers, 1 - error / 2) > 1 - QUANTILE:
        yield (
            f"{slower / now.answers:.0%} of its answers took longer than {now.edges[at] * 1000:g} ms; the "
            f"former version's p95 is at most {before_s * 1000:g} ms, max_p95_ratio is {allowed.p95_ratio:g}"
        )


def _labels(
    now: Mapping[str, HeadAnswers], tested: Mapping[str, HeadAnswers], allowed: Allowed, error: float
) -> Iterator[str]:
    compared = {name: head for name, head in tested.items() if name in now and now[name].texts > 0}
    cells = sum(len(head.labels) for head in compared.values())
    for name, then in compared.items():
        live = now[name]
        far = []
        for label, rows in then.labels.items():
            share, before = live.labels.get(label, 0.0) / live.texts, rows / then.texts
            # Any label of any head may be the one that strays, up or down.
            confidence = 1 - error / (2 * cells)
            least = apart_lower(share, live.requests, before, then.requests, confidence)
            if least > allowed.label_shift:
                far.append((abs(share - before), label, share, before))
        if far:
            _, label, share, before = max(far)
            yield (
                f"head {name}: label {label!r} is {share:.0%} of its answers, on the test rows it was "
                f"{before:.0%}; max_label_shift is {allowed.label_shift:.0%}"
            )
