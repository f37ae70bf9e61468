"""The latency gate over HTTP: at the declared rate, is a caller answered within the budget?

An open loop: requests leave on schedule and their latency is counted from when they were due, so that
waiting in a queue counts. The p95 is decided by the same order statistics as for the bundle alone
(`expectations.gates.latency`). Knows arrays and rules; does not know sockets or processes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expectations.gates.latency import QUANTILE, decide_limit, quantile_bounds, requests_needed
from expectations.spec import GateRules
from expectations.verdict import Figures, Finding, Outcome, Verdict

Floats = NDArray[np.float64]

LATE_SHARE = 0.05
"""Share of requests that may leave more than one interval after they were due. Lateness is contained in the
latency, so it can only make a model look slower; but a schedule that slipped is not the rate declared."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HttpTimings:
    """One entry a request, in the order in which they were due; columns `(Q,)`."""

    rate_per_s: float
    late_ms: Floats
    """By how much the generator sent it after it was due; contained in `latency_ms`."""
    latency_ms: Floats
    """From when it was due until its reply was complete."""
    status: NDArray[np.int64]
    """Of the reply; 0 where none came."""
    version: tuple[str | None, ...] = ()
    """Which version answered, as the reply's header says."""
    peak_rss_mb: float | None = None
    """Largest resident set of the endpoint (all its processes together), in MiB."""
    bundle_sha256: str | None = None
    """Digest of the bundle that the endpoint said it serves."""
    threads: int | None = None
    """CPU threads of the model in the endpoint."""
    problem: str = ""
    """Why there are no timings: the endpoint did not start with this bundle."""


def http_timings_from_json(raw: Mapping[str, Any]) -> HttpTimings:
    """Timings from the file that `serving.process.http_timing` keeps.

    Raises:
        ValueError: a column is missing, or the columns differ in length.
    """
    columns = {name: raw.get(name, []) for name in ("late_ms", "latency_ms", "status", "version")}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"the columns of the HTTP timings differ in length: {lengths}; time again")
    return HttpTimings(
        rate_per_s=float(raw["rate_per_s"]),
        late_ms=np.asarray(columns["late_ms"], dtype=np.float64),
        latency_ms=np.asarray(columns["latency_ms"], dtype=np.float64),
        status=np.asarray(columns["status"], dtype=np.int64),
        version=tuple(columns["version"]),
        peak_rss_mb=raw.get("peak_rss_mb"),
        bundle_sha256=raw.get("bundle_sha256"),
        threads=raw.get("threads"),
        problem=str(raw.get("problem", "")),
    )


def judge_http(timings: HttpTimings, rules: GateRules, bundle_sha256: str | None = None) -> Verdict:
    """The p95 over HTTP and the endpoint's peak memory, against their budgets.

    Args:
        bundle_sha256: digest of the bundle that is judged; given, the endpoint must have served it.
    """
    return Verdict(gate="http", findings=(_latency(timings, rules, bundle_sha256), _memory(timings, rules)))


def _latency(timings: HttpTimings, rules: GateRules, bundle_sha256: str | None) -> Finding:
    limit, values = rules.budget_p95_ms, timings.latency_ms
    figures: Figures = {"metric": "p95 ms", "compare": "budget", "unit": "ms", "limit": limit}
    figures |= {"n": values.size, "rate_per_s": timings.rate_per_s, "threads": timings.threads}

    def said(outcome: Outcome, reason: str) -> Finding:
        subject = f"p95 over HTTP at {timings.rate_per_s:g}/s"
        return Finding(subject=subject, outcome=outcome, reason=reason, figures=figures)

    if timings.problem:
        return said("fail", f"a private endpoint did not serve this bundle: {timings.problem}")
    if not values.size:
        return said("inconclusive", "no request was sent; time again")
    if bundle_sha256 is not None and timings.bundle_sha256 != bundle_sha256:
        return said("fail", "the endpoint served other bytes than are judged; time again")
    if timings.threads != rules.latency_threads or timings.rate_per_s != rules.http_rate_per_s:
        return said(
            "fail",
            f"asked at {timings.rate_per_s:g} a second of {timings.threads} threads, declared "
            f"{rules.http_rate_per_s:g} of {rules.latency_threads}: what was measured is not declared",
        )
    refused = int(np.count_nonzero(timings.status != 200))
    if refused:
        seen = ", ".join(str(code) for code in sorted(set(timings.status[timings.status != 200].tolist())))
        return said(
            "fail",
            f"{refused} of {values.size} requests were not answered with 200 (seen: {seen}; 0 is no reply): "
            "the endpoint cannot keep the declared rate; lower `gates.http_rate_per_s` or speed up the model",
        )
    if not (np.isfinite(values).all() and (values > 0).all()):
        return said("fail", "a latency is not a positive finite number; the timings are broken, time again")
    late = float(np.mean(timings.late_ms > 1000 / timings.rate_per_s))
    lower, upper = quantile_bounds(values, rules.confidence)
    figures |= {"shared": float(np.quantile(values, QUANTILE)), "late_share": late}
    figures |= {"confidence": rules.confidence, "lower": lower if math.isfinite(lower) else None}
    figures |= {"upper": upper if math.isfinite(upper) else None}
    if late > LATE_SHARE:
        return said(
            "inconclusive",
            f"{late:.0%} of the requests left more than an interval late: this machine could not keep the "
            f"schedule of {timings.rate_per_s:g} a second; time again when it is quiet, or lower the rate",
        )
    return said(*_decided(values, lower, upper, rules, figures))


def _decided(
    values: Floats, lower: float, upper: float, rules: GateRules, figures: Figures
) -> tuple[Outcome, str]:
    limit, confidence, n = rules.budget_p95_ms, f"{rules.confidence:.0%}", values.size
    least = requests_needed(rules.confidence)
    needed = requests_needed(rules.confidence, over_share=float(np.mean(values > limit)))
    figures["requests_needed"] = needed
    outcome = decide_limit(lower, upper, limit)
    if outcome == "pass":
        return outcome, (
            f"at most {upper:.1f} ms ({confidence}, {n} requests, at least {least} needed), counted from "
            f"when each was due; the budget is {limit:g} ms"
        )
    if outcome == "fail":
        return outcome, (
            f"at least {lower:.1f} ms ({confidence}, {n} requests); the budget is {limit:g} ms: use a "
            "smaller encoder, more `deploy.workers`, or declare a lower `gates.http_rate_per_s`"
        )
    if math.isinf(upper):
        return outcome, f"{n} requests were sent; a p95 at {confidence} needs at least {least}"
    tell = "too near for more requests to tell" if needed is None else f"about {needed:,} requests would tell"
    return outcome, f"at most {upper:.1f} ms; the budget is {limit:g} ms: {tell}"


def _memory(timings: HttpTimings, rules: GateRules) -> Finding:
    """The endpoint's own peak: Python, server and bundle, not the bundle alone."""
    peak, limit, subject = timings.peak_rss_mb, rules.max_memory_mb, "peak memory of the endpoint"
    figures: Figures = {"metric": "MiB", "compare": "budget", "unit": "MiB", "shared": peak, "limit": limit}
    if peak is None:
        reason = f"not measured; expected at most {limit:g} MiB: time again"
        return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures)
    within = math.isfinite(peak) and 0 < peak <= limit
    reason = f"{peak:,.0f} MiB at its peak, expected at most {limit:g}"
    if not within:
        reason += "; use a smaller encoder, cut layers, or raise `gates.max_memory_mb`"
    return Finding(subject=subject, outcome="pass" if within else "fail", reason=reason, figures=figures)
