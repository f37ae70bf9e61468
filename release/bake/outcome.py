"""How a watch ended, and what is said of one whose time is over. Does not watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from expectations.live import HeadAnswers, compared_labels, compared_time
from release.bake.counted import durations_of, traffic_of
from release.bake.record import Bake
from release.targets.deploy import DeployOutcome
from serving.counts import heads_of

BakeEnd = Literal["passed", "too little", "taken back", "stuck", "left"]
"""`taken back`: the former version serves again. `stuck`: it should be taken back and could not be. `left`:
another version was made to serve meanwhile, or nothing could be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeOutcome:
    """How a watch ended."""

    end: BakeEnd
    version: int
    """Version that was watched."""
    why: str
    """One sentence or more."""
    done: DeployOutcome | None = None
    """How the former version came to serve again."""


def at_its_end(record: Bake, tested: Mapping[str, HeadAnswers], *, seen: bool) -> BakeOutcome:
    """What is said of a version whose time is over and that broke no bound.

    Args:
        tested: head → what it answered on its test rows.
        seen: whether the endpoint could be asked at all.
    """
    rule = record.rule
    away = ""
    if record.unseen_s >= 1:
        away = f"; for {span(record.unseen_s)} of it the endpoint could not be asked"
    watched = f"watched for {span(60 * rule.minutes)}{away}"
    if not seen and not record.counted:
        why = "it is not known how it does: the endpoint could not be asked while it was to be watched"
        return BakeOutcome(end="left", version=record.version, why=why)
    if record.requests < rule.min_requests:
        why = f"too little traffic to tell: {record.requests:.0f} of {rule.min_requests}; {watched}"
        return BakeOutcome(end="too little", version=record.version, why=why)
    failed = record.counted.get("failed", 0.0)
    kinds = ["failures"]
    open_ones = []
    if compared_time(durations_of(record.before), rule.min_requests):
        kinds.append("time")
    else:
        open_ones.append(f"time was not compared: version {record.former} had answered too few requests")
    heads = heads_of(record.counted)
    compared = compared_labels(traffic_of(record.counted).heads, tested)
    if compared:
        kinds.append("labels")
    if left_out := [head for head in heads if head not in compared]:
        open_ones.append(f"labels were not compared: {', '.join(left_out)}")
    named = f"{', '.join(kinds[:-1])} and {kinds[-1]}" if len(kinds) > 1 else kinds[0]
    why = f"{watched}: {record.requests:.0f} requests, {failed:.0f} failed; {named} within their bounds"
    return BakeOutcome(end="passed", version=record.version, why="; ".join([why, *open_ones]))


def span(seconds: float) -> str:
    """A time span in words."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
