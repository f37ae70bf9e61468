"""The latency gate: does sharing pay, does one request stay within its budget, and was the machine quiet?

Knows timings and rules; does not know processes or bundles.

- The *A/A control*, the shared bundle against a second process of itself, must have a ratio of 1. It chooses
  the clock: wall time where the machine was quiet, processor time where other work disturbed it.
- The *ratio* to the sum of the baselines, called one after another, is decided by its interval
  (`expectations.stats.block_ratio`). Other work lengthens wall time by chance; it hardly touches processor
  time, which in turn does not see a bundle wait. So where wall time is disturbed, processor time passes
  a bundle only together with the processor time of the thread that asks (a graph that uses one
  thread of two) and with the wall time where it was disturbed least (one that waits).
- The *p95 budget* is decided by exact bounds (`expectations.gates.limits`), always in wall time.

Timings that decide nothing are added to and judged again, at most `GateRules.latency_looks` times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from expectations.gates.figures import CONTROL_REACH
from expectations.gates.limits import (
    BROKEN,
    Timed,
    beside_others,
    budget_figures,
    decide_limit,
    judge_p95,
    look_confidence,
    usable,
)
from expectations.gates.timings import Clock, Floats, Timings
from expectations.spec import GateRules
from expectations.stats.block_ratio import block_ratio, undisturbed_ratio
from expectations.stats.paired import Interval
from expectations.stats.quantiles import quantile_bounds
from expectations.verdict import Figures, Finding, Outcome, Verdict

MIN_BLOCKS = 10
"""Fewest blocks that a bootstrap over blocks can say anything from."""
Basis = Literal["wall", "processor"]
"""Which clock decides."""
ONE_REQUEST = Timed(
    what="The p95 of one request", requests="latency_requests", remedy="use a smaller encoder"
)


def judge_latency(
    timings: Timings, rules: GateRules, heads: Sequence[str], digests: Mapping[str, str] | None = None
) -> Verdict:
    """Threads, control, ratio to the baselines and to the champion (where timed), p95 of one request.

    Args:
        digests: bundle → sha256 of the manifest of the bundle that is judged; given, the timed bytes must
            be these.
    """
    baselines = [f"baseline:{head}" for head in heads]
    ratios = _Ratios(timings=timings, rules=rules, confidence=look_confidence(rules, timings.looks))
    setting = "max_latency_ratio" if len(baselines) > 1 else "max_single_head_ratio"
    control, basis = _control(ratios)
    findings = [
        _threads(timings, rules),
        control,
        _ratio("latency vs baselines", ratios, baselines, setting, basis),
    ]
    if "champion" in timings.bundles:
        findings.append(
            _ratio("latency vs champion", ratios, ["champion"], "max_champion_latency_ratio", basis)
        )
    findings.append(_budget(ratios))
    if digests is not None:
        findings.append(_bytes(timings, digests))
    return Verdict(gate="latency", findings=tuple(findings))


def _threads(timings: Timings, rules: GateRules) -> Finding:
    figures: Figures = {"threads": timings.threads, "threads_declared": rules.latency_threads}
    if timings.threads is None:
        reason = (
            "The timings name 0 of their threads, so that they may be of other ones than serve: time again "
            f"(`headgate judge`) at `gates.latency_threads` (now {rules.latency_threads})"
        )
        return Finding(subject="threads", outcome="inconclusive", reason=reason, figures=figures)
    seen = f"timed at {timings.threads} threads, declared {rules.latency_threads}"
    if timings.threads != rules.latency_threads:
        seen = (
            f"The bundles were timed at {timings.threads} threads, which is not what serves: time again, or "
            f"change `gates.latency_threads` (now {rules.latency_threads})"
        )
        return Finding(subject="threads", outcome="fail", reason=seen, figures=figures)
    return Finding(subject="threads", outcome="pass", reason=seen, figures=figures)


def _bytes(timings: Timings, digests: Mapping[str, str]) -> Finding:
    """Whether the bundles that were timed are the ones that are judged."""
    other = [name for name, digest in digests.items() if timings.digest.get(name) != digest]
    figures: Figures = {"bundles": len(digests)}
    if other:
        reason = (
            f"{len(other)} of {len(digests)} bundles were timed as other bytes than are judged "
            f"({', '.join(other[:3])}): time them again (`headgate judge`)"
        )
        return Finding(subject="timed bundles", outcome="fail", reason=reason, figures=figures)
    return Finding(
        subject="timed bundles", outcome="pass", reason="the judged bytes were timed", figures=figures
    )


def _control(ratios: _Ratios) -> tuple[Finding, Basis]:
    """The shared bundle against a second process of itself, and which clock it leaves to decide by.

    The clock is chosen before any ratio is looked at, so that a candidate has one chance and not two.
    """
    tolerance, subject = ratios.rules.control_tolerance, "A/A control"
    figures: Figures = {}
    wall = ratios.of(["control"], "wall", figures)
    figures |= {"compare": "control", "tolerance": tolerance, "looks": ratios.timings.looks}
    if isinstance(wall, _Broken):
        return Finding(subject=subject, outcome=wall.outcome, reason=wall.reason, figures=figures), "wall"
    seen = f"The shared bundle takes {_shown(wall)} of the time of a second process of itself"
    if _is_one(wall, tolerance):
        seen += f", expected to reach 1 ± {tolerance:g} and to stay within 1 ± {CONTROL_REACH * tolerance:g}"
        return Finding(subject=subject, outcome="pass", reason=seen, figures=figures), "wall"
    reach = CONTROL_REACH * tolerance
    wanted = (
        f"not 1 within {1 / (1 + reach):.2f} and {1 + reach:.2f}: the machine is too noisy; time again when "
        f"it is quiet (`headgate judge`), or raise `gates.control_tolerance` (now {tolerance:g})"
    )
    processor = ratios.of(["control"], "processor")
    if isinstance(processor, _Broken):
        reason = f"{seen}, {wanted}"
        return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures), "wall"
    seen += f" ({_shown(processor)} of its processor time)"
    if _is_one(processor, tolerance):
        figures |= {"metric": "median processor ms", "difference": processor.value}
        figures |= {"lower": processor.lower, "upper": processor.upper}
        reason = f"{seen}: other work disturbed the wall time, processor time decides"
        return Finding(subject=subject, outcome="pass", reason=reason, figures=figures), "processor"
    reason = f"{seen}, {wanted}"
    return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures), "wall"


def _is_one(ratio: Interval, tolerance: float) -> bool:
    """Whether 1 lies in the bounds or within the tolerance of them (see `GateRules.control_tolerance`), and
    they are narrow enough to say so."""
    near = ratio.lower <= 1 + tolerance and ratio.upper >= 1 / (1 + tolerance)
    reach = CONTROL_REACH * tolerance
    return near and ratio.lower >= 1 / (1 + reach) and ratio.upper <= 1 + reach


def _ratio(subject: str, ratios: _Ratios, others: Sequence[str], setting: str, basis: Basis) -> Finding:
    """Latency of the shared bundle over the sum of the others', passed by the upper bound.

    Args:
        setting: field of `gates` that holds the limit.
    """
    limit: float = getattr(ratios.rules, setting)
    figures: Figures = {"limit": limit}
    whose = others[0] if len(others) == 1 else f"{len(others)} baselines one after another"
    decide = _by_wall if basis == "wall" else _by_processor
    found = decide(ratios, others, limit, figures)
    if isinstance(found, _Broken):
        return Finding(subject=subject, outcome=found.outcome, reason=found.reason, figures=figures)
    outcome, taken = found
    seen, allowed = f"The shared model {taken} of {whose}", f"`gates.{setting}` (now {limit:g})"
    if outcome == "pass":
        seen += f", expected at most {limit:g}"
    elif outcome == "fail":
        why = "sharing does not pay" if others != ["champion"] else "it is slower"
        seen += f": {why}; use a smaller encoder, cut layers, or raise {allowed}"
    else:
        seen += (
            f", on both sides of {allowed}: time again (`headgate judge`), or raise `gates.latency_requests`"
        )
    return Finding(subject=subject, outcome=outcome, reason=seen, figures=figures)


def _budget(ratios: _Ratios) -> Finding:
    """The p95 of one request for all heads, against its budget.

    A pass beside other work is a pass all the more. A failure there fails only where the processor time
    alone, spread evenly over the threads, is over the budget.
    """
    timings, rules = ratios.timings, ratios.rules
    values, figures = timings.of("shared"), budget_figures(rules)
    figures["n"] = values.size
    outcome: Outcome
    if not values.size:
        outcome = "inconclusive"
        reason = "0 requests of the shared bundle were timed: time it (`headgate judge`)"
    else:
        outcome, reason = judge_p95(values, rules, figures, ONE_REQUEST, confidence=ratios.confidence)
    busy = timings.crowded_cores
    if outcome == "fail" and usable(values) and busy is not None and not _too_much_work(ratios):
        outcome = "inconclusive"
        reason = beside_others(reason, busy)
    return Finding(subject="p95 of one request", outcome=outcome, reason=reason, figures=figures)


def _too_much_work(ratios: _Ratios) -> bool:
    """Whether no machine of this kind, however quiet, could keep the budget: processor time over threads."""
    timings = ratios.timings
    if timings.cpu_ms is None or not timings.threads:
        return False
    least_ms = timings.cpu_ms[timings.bundle == "shared"] / timings.threads
    lower, _ = quantile_bounds(least_ms, ratios.confidence)
    return bool(np.isfinite(least_ms).all()) and lower > ratios.rules.budget_p95_ms


@dataclass(frozen=True, slots=True)
class _Broken:
    """Why there is no ratio."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ratios:
    """Ratios of one set of timings."""

    timings: Timings
    rules: GateRules
    confidence: float
    """Of the bounds, one-sided: that of this look."""

    def of(self, others: Sequence[str], clock: Clock, figures: Figures | None = None) -> Interval | _Broken:
        """The time of the shared bundle over the sum of the others', by one clock. What was seen goes into
        `figures`."""
        timings, figures = self.timings, {} if figures is None else figures
        metric = "median processor ms" if clock == "processor" else "median ms"
        figures |= {"metric": metric, "compare": "ratio", "unit": "ms", "confidence": self.confidence}
        absent = [name for name in ("shared", *others) if name not in timings.bundles]
        if absent or not others:
            return _Broken(
                "inconclusive",
                f"{len(absent)} bundles were not timed ({', '.join(absent[:3]) or 'any baseline'}): time "
                "all in one run (`headgate judge`)",
            )
        if not all(usable(timings.of(name)) for name in ("shared", *others)):
            return _Broken("fail", BROKEN)
        requests = timings.requests("shared")
        if any(timings.requests(name) != requests for name in others):
            return _Broken(
                "fail",
                f"The bundles did not get the same {len(requests):,} texts in the same blocks: time all in "
                "one run (`headgate judge`)",
            )
        times = [timings.block_times(name, clock) for name in ("shared", *others)]
        known = [each for each in times if each is not None]
        if len(known) < len(times) or not all(usable(each) for each in known):
            return _Broken(
                "inconclusive", f"The {clock} time of 0 requests was measured: time again (`headgate judge`)"
            )
        shared, sums = known[0], np.asarray(np.sum(known[1:], axis=0))
        figures |= {"shared": float(shared.mean()), "baseline": float(sums.mean())}
        figures |= {"n": len(requests), "blocks": shared.size}
        if shared.size < MIN_BLOCKS:
            return _Broken(
                "inconclusive",
                f"The bundles were timed in {shared.size} blocks, and an interval needs {MIN_BLOCKS}: raise "
                "`gates.latency_requests`",
            )
        ratio = block_ratio(
            shared,
            sums,
            confidence=self.confidence,
            resamples=self.rules.resamples,
            seed=self.rules.seed,
        )
        figures |= {"difference": ratio.value, "lower": ratio.lower, "upper": ratio.upper}
        return ratio

    def undisturbed(self, others: Sequence[str]) -> Interval:
        """The ratio of wall times where they were disturbed least; only where `of` gives a ratio by every
        clock."""
        names = ("shared", *others)
        return undisturbed_ratio(
            np.stack([self._known(self.timings.block_times(name, "processor")) for name in names]),
            np.stack([self._known(self.timings.block_stretches(name)) for name in names]),
            confidence=self.confidence,
            resamples=self.rules.resamples,
            seed=self.rules.seed,
        )

    @staticmethod
    def _known(times: Floats | None) -> Floats:
        assert times is not None, "asked for before it was known to be measured"
        return times


def _by_wall(
    ratios: _Ratios, others: Sequence[str], limit: float, figures: Figures
) -> tuple[Outcome, str] | _Broken:
    """Outcome and what was seen, by the wall time of a quiet machine."""
    ratio = ratios.of(others, "wall", figures)
    if isinstance(ratio, _Broken):
        return ratio
    return decide_limit(ratio.lower, ratio.upper, limit), f"takes {_shown(ratio)} of the time"


def _by_processor(
    ratios: _Ratios, others: Sequence[str], limit: float, figures: Figures
) -> tuple[Outcome, str] | _Broken:
    """Outcome and what was seen, where other work disturbed the wall time.

    A pass needs the processor time of all threads, that of the thread that asks and the wall time where it
    was disturbed least within the limit, and the whole wall time not beyond it for certain. A failure
    needs the processor time and the least disturbed wall time beyond it for certain.
    """
    wall, caller = ratios.of(others, "wall"), ratios.of(others, "caller")
    processor = ratios.of(others, "processor", figures)
    if isinstance(wall, _Broken) or isinstance(caller, _Broken) or isinstance(processor, _Broken):
        return next(one for one in (wall, caller, processor) if isinstance(one, _Broken))
    least = ratios.undisturbed(others)
    seen = (
        f"takes {_shown(processor)} of the processor time (asking thread {_shown(caller)}, wall time where "
        f"least disturbed {_shown(least)}, all of it {_shown(wall)})"
    )
    if wall.lower <= limit and all(one.upper <= limit for one in (processor, caller, least)):
        return "pass", seen
    return ("fail" if processor.lower > limit and least.lower > limit else "inconclusive"), seen


def _shown(ratio: Interval) -> str:
    """`0.512 [0.503, 0.521]`."""
    return f"{ratio.value:.3f} [{ratio.lower:.3f}, {ratio.upper:.3f}]"
