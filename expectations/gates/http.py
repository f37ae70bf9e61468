"""The latency gate over HTTP: at the declared rate, is a caller answered within the budget?

An open loop: requests leave on schedule and their latency is counted from when they were due, so that
waiting in a queue counts. The p95 is decided by exact bounds, as for the bundle alone
(`expectations.gates.limits`). Knows arrays and rules; does not know sockets or processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expectations.gates.limits import (
    Floats,
    Timed,
    beside_others,
    budget_figures,
    judge_p95,
    usable,
    within,
)
from expectations.spec import GateRules
from expectations.verdict import Figures, Finding, Outcome, Verdict
from model.measure.machine import crowded

LATE_SHARE = 0.05
"""Share of requests that may leave more than one interval after they were due. Lateness is contained in the
latency, so it can only make a model look slower; but a schedule that slipped is not the rate declared."""

OVER_HTTP = Timed(
    what="The p95 over HTTP",
    requests="http_requests",
    remedy="use a smaller encoder, more `deploy.workers`, a lower `gates.http_rate_per_s`",
    counted=", counted from when each was due",
)
OVERLOADED = frozenset({0, 503})
"""Statuses of an endpoint that does not keep up: no reply in time, or refused. Beside other work they say
nothing about the model; any other status does."""


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
    """Digest of the bundle that the endpoint reported."""
    threads: int | None = None
    """CPU threads of the model in the endpoint."""
    busy_cores: float | None = None
    """Cores that other work kept busy meanwhile, on average; none if the file does not say."""
    cores: int | None = None
    """Cores of the machine."""
    problem: str = ""
    """Why there are no timings: the endpoint did not start with this bundle."""

    @property
    def late_share(self) -> float:
        """Share of the requests that left more than an interval late."""
        return float(np.mean(self.late_ms > 1000 / self.rate_per_s)) if self.late_ms.size else 0.0

    @property
    def crowded_cores(self) -> float | None:
        """Cores that other work kept busy where that left too few for the endpoint, else none."""
        if self.busy_cores is None or self.cores is None or self.threads is None:
            return None
        return self.busy_cores if crowded(self.busy_cores, self.threads, self.cores) else None


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
        busy_cores=raw.get("busy_cores"),
        cores=raw.get("cores"),
        problem=str(raw.get("problem", "")),
    )


def judge_http(timings: HttpTimings, rules: GateRules, bundle_sha256: str | None = None) -> Verdict:
    """The p95 over HTTP and the endpoint's peak memory, against their budgets.

    Args:
        bundle_sha256: digest of the bundle that is judged; given, the endpoint must have served it.
    """
    return Verdict(gate="http", findings=(_latency(timings, rules, bundle_sha256), _memory(timings, rules)))


def worth_another_look(timings: HttpTimings, rules: GateRules) -> bool:
    """Whether a busy machine kept these timings from deciding, so that others may decide.

    What the machine did chooses, not how near the figure came: a look at a quiet machine is the last, and its
    bound holds by itself.
    """
    disturbed = timings.late_share > LATE_SHARE or timings.crowded_cores is not None
    return disturbed and _latency(timings, rules, None).outcome == "inconclusive"


def _latency(timings: HttpTimings, rules: GateRules, bundle_sha256: str | None) -> Finding:
    figures: Figures = {**budget_figures(rules), "n": timings.latency_ms.size}
    figures |= {"rate_per_s": timings.rate_per_s, "threads": timings.threads}
    subject = f"p95 over HTTP at {timings.rate_per_s:g}/s"
    outcome, reason = _decided(timings, rules, bundle_sha256, figures)
    return Finding(subject=subject, outcome=outcome, reason=reason, figures=figures)


def _decided(
    timings: HttpTimings, rules: GateRules, bundle_sha256: str | None, figures: Figures
) -> tuple[Outcome, str]:
    values, status = timings.latency_ms, timings.status
    if timings.problem:
        return (
            "fail",
            f"0 requests were answered: a private endpoint did not serve this bundle, {timings.problem}",
        )
    if not values.size:
        return "inconclusive", "0 requests were sent to a private endpoint: time again (`headgate judge`)"
    if bundle_sha256 is not None and timings.bundle_sha256 != bundle_sha256:
        return (
            "fail",
            "The private endpoint served 1 other bundle than is judged: time again (`headgate judge`)",
        )
    if timings.threads != rules.latency_threads or timings.rate_per_s != rules.http_rate_per_s:
        return "fail", (
            f"The endpoint was timed at {timings.rate_per_s:g} requests a second and {timings.threads} "
            "threads, which is not what is declared: time again (`headgate judge`) at "
            f"`gates.http_rate_per_s` (now {rules.http_rate_per_s:g}) and `gates.latency_threads` (now "
            f"{rules.latency_threads})"
        )
    busy = timings.crowded_cores
    if refused := status[status != 200].tolist():
        seen = ", ".join(str(code) for code in sorted(set(refused)))
        overloaded = set(refused) <= OVERLOADED and busy is not None
        reason = (
            f"{len(refused)} of {values.size} requests were not answered with 200 (seen {seen}; 0 is no "
            "reply): the endpoint cannot keep the declared rate; speed up the model, or lower "
            f"`gates.http_rate_per_s` (now {rules.http_rate_per_s:g})"
        )
        if overloaded and busy is not None:
            return "inconclusive", beside_others(reason, busy)
        return "fail", reason
    outcome, reason = judge_p95(values, rules, figures, OVER_HTTP)
    figures["late_share"] = late = timings.late_share
    if usable(values) and late > LATE_SHARE:
        return "inconclusive", (
            f"{late:.0%} of the requests left more than an interval late, which is not the declared rate: "
            "time again when the machine is quiet (`headgate judge`), or lower `gates.http_rate_per_s` "
            f"(now {timings.rate_per_s:g})"
        )
    if usable(values) and outcome == "fail" and busy is not None:
        return "inconclusive", beside_others(reason, busy)
    return outcome, reason


def _memory(timings: HttpTimings, rules: GateRules) -> Finding:
    """The endpoint's own peak: Python, server and bundle, not the bundle alone."""
    figures: Figures = {"metric": "MiB", "compare": "budget", "unit": "MiB", "shared": timings.peak_rss_mb}
    figures["limit"] = rules.max_memory_mb
    return within("peak memory of the endpoint", timings.peak_rss_mb, " MiB", "max_memory_mb", figures)
