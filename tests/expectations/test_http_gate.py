"""Latency over HTTP: order statistics decide, a slipped schedule decides nothing, an error never passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from expectations.gates.http import HttpTimings, http_timings_from_json, judge_http
from expectations.spec import GateRules

RULES = GateRules(budget_p95_ms=20.0, http_rate_per_s=25.0)


def timed(latency_ms: float = 8.0, n: int = 150) -> HttpTimings:
    return HttpTimings(
        rate_per_s=25.0,
        late_ms=np.full(n, 0.3),
        latency_ms=latency_ms * np.exp(0.1 * np.random.default_rng(0).standard_normal(n)),
        status=np.full(n, 200),
        version=("1",) * n,
        peak_rss_mb=130.0,
        bundle_sha256="aa",
        threads=2,
    )


def outcome(timings: HttpTimings, rules: GateRules = RULES) -> tuple[str, str]:
    latency = judge_http(timings, rules, "aa").findings[0]
    return latency.outcome, latency.reason


def test_the_bound_decides_and_says_how_many_are_needed() -> None:
    """8 ms with 10% log-normal noise has its p95 at 9.4 ms."""
    assert outcome(timed())[0] == "pass"
    assert "at least 59 needed" in outcome(timed())[1]
    assert outcome(timed(30.0))[0] == "fail"
    assert outcome(timed(), replace(RULES, budget_p95_ms=9.45))[0] == "inconclusive"
    said = outcome(timed(n=58))
    assert said[0] == "inconclusive" and "58 requests were timed" in said[1] and "59" in said[1]


def test_a_schedule_that_slipped_decides_nothing() -> None:
    late = timed().late_ms.copy()
    late[:8] = 41.0  # 8 of 150 are 5.3%, an interval is 40 ms
    said = outcome(replace(timed(), late_ms=late))
    assert said[0] == "inconclusive" and "which is not the declared rate" in said[1]
    late[0] = 0.0
    assert outcome(replace(timed(), late_ms=late))[0] == "pass"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"status": np.where(np.arange(150) == 3, 503, 200)}, "1 of 150 requests were not answered with 200"),
        ({"status": np.where(np.arange(150) == 3, 0, 200)}, "0 is no reply"),
        ({"bundle_sha256": "bb"}, "1 other bundle than is judged"),
        ({"threads": 8}, "which is not what is declared"),
        ({"rate_per_s": 1.0}, "which is not what is declared"),
        ({"latency_ms": np.where(np.arange(150) == 3, np.nan, 8.0)}, "not a positive finite number"),
        ({"latency_ms": np.where(np.arange(150) == 3, np.inf, 8.0)}, "not a positive finite number"),
        ({"problem": "the endpoint ended"}, "did not serve this bundle, the endpoint ended"),
    ],
)
def test_what_is_broken_fails(broken: dict[str, object], reason: str) -> None:
    said = outcome(replace(timed(), **broken))  # type: ignore[arg-type]
    assert said[0] == "fail" and reason in said[1]


def test_the_endpoints_memory_has_a_budget() -> None:
    rules = replace(RULES, max_memory_mb=120.0)
    assert judge_http(timed(), RULES).findings[1].outcome == "pass"
    assert judge_http(timed(), rules).findings[1].outcome == "fail"
    assert judge_http(replace(timed(), peak_rss_mb=None), RULES).findings[1].outcome == "inconclusive"
    assert judge_http(replace(timed(), peak_rss_mb=float("nan")), RULES).findings[1].outcome == "fail"


def test_the_file_is_read_strictly() -> None:
    nothing = http_timings_from_json({"rate_per_s": 25.0, "threads": 2, "problem": "it ended"})
    assert judge_http(nothing, RULES).outcome == "fail"
    assert judge_http(replace(nothing, problem=""), RULES).outcome == "inconclusive"
    with pytest.raises(ValueError, match="differ in length"):
        http_timings_from_json({"rate_per_s": 25.0, "late_ms": [1.0]})
