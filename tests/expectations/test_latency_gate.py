"""The latency and memory gates: bounds decide, a noisy machine or a short run decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from expectations.gates.latency import judge_latency
from expectations.gates.memory import judge_memory
from expectations.gates.timings import Timings, timings_from_json
from expectations.spec import GateRules
from expectations.stats.quantiles import quantile_bounds, requests_needed
from expectations.verdict import Verdict

RULES = GateRules(resamples=400)
HEADS = ("topic", "tone")
QUIET = {"shared": 5.0, "control": 5.0, "baseline:topic": 5.0, "baseline:tone": 5.0}


def timed(
    medians_ms: Mapping[str, float] = QUIET, *, blocks: int = 20, texts: int = 10, noise: float = 0.05
) -> Timings:
    rng = np.random.default_rng(0)
    block, text = np.divmod(np.arange(blocks * texts), texts)
    names = list(medians_ms)
    return Timings(
        block=np.tile(block, len(names)),
        bundle=np.repeat(np.array(names), block.size),
        text=np.tile(text, len(names)),
        total_ms=np.concatenate(
            [m * np.exp(noise * rng.standard_normal(block.size)) for m in medians_ms.values()]
        ),
        peak_rss_mb=dict.fromkeys(names, 200.0),
        bundle_bytes=dict.fromkeys(names, 90 * 2**20),
        threads=2,
    )


def outcomes(timings: Timings, rules: GateRules = RULES, heads: tuple[str, ...] = HEADS) -> dict[str, str]:
    return told(judge_latency(timings, rules, heads))


def told(verdict: Verdict) -> dict[str, str]:
    return {finding.subject: finding.outcome for finding in verdict.findings}


def test_a_quiet_run_passes() -> None:
    verdict = judge_latency(timed(), RULES, HEADS)
    assert told(verdict) == {
        "threads": "pass",
        "A/A control": "pass",
        "latency vs baselines": "pass",
        "p95 of one request": "pass",
    }
    ratio = verdict.findings[2].figures
    assert ratio["difference"] == pytest.approx(0.5, abs=0.02)
    assert ratio["lower"] < 0.5 < ratio["upper"] or ratio["upper"] < 0.52  # type: ignore[operator]
    assert (ratio["n"], ratio["blocks"]) == (200, 20)


def test_without_noise_the_ratio_is_exact() -> None:
    verdict = judge_latency(timed({**QUIET, "baseline:tone": 15.0}, noise=0.0), RULES, HEADS)
    figures = verdict.findings[2].figures
    assert (figures["shared"], figures["baseline"]) == pytest.approx((5.0, 20.0))
    assert (figures["difference"], figures["lower"], figures["upper"]) == pytest.approx((0.25, 0.25, 0.25))


@pytest.mark.parametrize(("shared_ms", "expected"), [(7.5, "pass"), (8.0, "inconclusive"), (8.5, "fail")])
def test_the_ratio_passes_by_its_upper_bound(shared_ms: float, expected: str) -> None:
    """The limit is 0.8 of 10 ms; the interval is about ±1.3% wide."""
    found = outcomes(timed({**QUIET, "shared": shared_ms, "control": shared_ms}))
    assert found["latency vs baselines"] == expected


def test_with_one_head_there_is_nothing_to_share() -> None:
    one = {"shared": 5.0, "control": 5.0, "baseline:topic": 5.0}
    assert outcomes(timed(one), heads=("topic",))["latency vs baselines"] == "pass"
    slow = {**one, "shared": 6.0, "control": 6.0}
    assert outcomes(timed(slow), heads=("topic",))["latency vs baselines"] == "fail"


def test_a_noisy_machine_decides_nothing() -> None:
    assert outcomes(timed({**QUIET, "control": 5.1}))["A/A control"] == "pass"  # 2%: memory layout
    verdict = judge_latency(timed({**QUIET, "control": 6.0}), RULES, HEADS)
    assert verdict.outcome == "inconclusive"
    assert "the machine is too noisy" in verdict.reasons[0]
    without = {name: ms for name, ms in QUIET.items() if name != "control"}
    assert judge_latency(timed(without), RULES, HEADS).outcome == "inconclusive"


def test_the_champion_is_compared_where_it_was_timed() -> None:
    assert outcomes(timed({**QUIET, "champion": 5.0}))["latency vs champion"] == "pass"
    assert outcomes(timed({**QUIET, "champion": 3.0}))["latency vs champion"] == "fail"


def test_missing_or_short_timings_are_inconclusive() -> None:
    missing = {name: ms for name, ms in QUIET.items() if name != "baseline:tone"}
    assert outcomes(timed(missing))["latency vs baselines"] == "inconclusive"
    assert outcomes(timed(blocks=9))["latency vs baselines"] == "inconclusive"
    empty = timings_from_json({"block": [], "bundle": [], "text": [], "total_ms": [], "threads": 2})
    assert set(outcomes(empty).values()) == {"pass", "inconclusive"}
    assert judge_latency(empty, RULES, HEADS).outcome == "inconclusive"
    assert judge_latency(timed(), RULES, ()).outcome == "inconclusive"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
def test_impossible_latencies_fail(value: float) -> None:
    timings = timed()
    total_ms = timings.total_ms.copy()
    total_ms[3] = value
    assert outcomes(replace(timings, total_ms=total_ms))["p95 of one request"] == "fail"
    assert outcomes(replace(timings, total_ms=total_ms))["latency vs baselines"] == "fail"


def test_timings_of_something_else_fail() -> None:
    assert outcomes(replace(timed(), threads=8))["threads"] == "fail"
    assert outcomes(replace(timed(), threads=None))["threads"] == "inconclusive"
    timings = timed()
    easier = np.where(timings.bundle == "shared", 0, timings.text)
    assert outcomes(replace(timings, text=easier))["latency vs baselines"] == "fail"


def test_other_bytes_than_the_judged_ones_fail() -> None:
    timings = replace(timed(), digest={"shared": "aa", "baseline:topic": "bb"})
    judged = judge_latency(timings, RULES, HEADS, {"shared": "aa", "baseline:topic": "bb"})
    assert judged.outcome == "pass"
    swapped = judge_latency(timings, RULES, HEADS, {"shared": "ab"})
    assert swapped.outcome == "fail" and "other bytes" in swapped.reasons[0]


def test_requests_needed_by_hand() -> None:
    """0.95^58 = 0.0510 and 0.95^59 = 0.0485; 0.95^89 = 0.0104 and 0.95^90 = 0.0099."""
    assert requests_needed(0.95) == 59
    assert requests_needed(0.99) == 90
    assert requests_needed(0.95, over_share=0.05) is None
    assert requests_needed(1.0) is None, "certainty takes more than any number"
    more = requests_needed(0.95, over_share=0.02)
    assert more is not None and more > 59


def test_too_few_requests_say_how_many_are_needed() -> None:
    once = replace(RULES, latency_looks=1)
    verdict = judge_latency(timed(blocks=10, texts=5), once, HEADS)
    assert verdict.findings[-1].outcome == "inconclusive"
    assert "50 requests were timed" in verdict.findings[-1].reason and "59" in verdict.findings[-1].reason
    assert outcomes(timed(blocks=10, texts=6), once)["p95 of one request"] == "pass"
    several = judge_latency(timed(blocks=10, texts=6), RULES, HEADS)
    assert several.findings[-1].outcome == "inconclusive" and "72" in several.findings[-1].reason


def test_the_bound_of_59_is_the_largest_and_of_100_the_99th() -> None:
    """P(Binomial(100, 0.95) <= 98) = 0.963 and P(<= 97) = 0.882: the 99th smallest is the upper bound;
    P(Binomial(100, 0.95) >= 91) = 0.972, P(>= 92) = 0.937: the 91st smallest is the lower one."""
    assert quantile_bounds(np.arange(1.0, 60.0), 0.95)[1] == 59
    assert quantile_bounds(np.arange(1.0, 101.0), 0.95) == (91, 99)
    assert quantile_bounds(np.arange(1.0, 59.0), 0.95)[1] == np.inf


@given(st.integers(1, 400), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_quantile_bounds_cover_by_the_binomial(n: int, confidence: float) -> None:
    """Exact, so no simulation: with values 1..n the rank of the bound is the bound."""
    lower, upper = quantile_bounds(np.arange(1.0, n + 1.0), confidence)
    if np.isfinite(upper):
        assert binom.cdf(upper - 1, n, 0.95) >= confidence
    if np.isfinite(lower):
        assert binom.sf(lower - 1, n, 0.95) >= confidence - 1e-12


@pytest.mark.parametrize(("budget_ms", "expected"), [(6.5, "pass"), (5.45, "inconclusive"), (4.0, "fail")])
def test_the_budget_is_decided_by_the_bounds(budget_ms: float, expected: str) -> None:
    """p95 of 5 ms with 5% log-normal noise is 5.43 ms."""
    found = outcomes(timed(), replace(RULES, budget_p95_ms=budget_ms))
    assert found["p95 of one request"] == expected


def test_memory_by_hand() -> None:
    verdict = judge_memory(timed(), RULES, HEADS)
    assert set(told(verdict).values()) == {"pass"}
    assert verdict.findings[1].figures["difference"] == 0.5  # 200 of 200 + 200
    heavy = replace(timed(), peak_rss_mb={**timed().peak_rss_mb, "shared": 400.0})
    assert told(judge_memory(heavy, RULES, HEADS))["peak memory vs baselines"] == "fail"
    small = replace(RULES, max_memory_mb=150.0, max_bundle_mb=50.0)
    found = told(judge_memory(timed(), small, HEADS))
    assert found["peak memory"] == found["bundle size"] == "fail"


def test_memory_not_measured_is_inconclusive_and_not_finite_fails() -> None:
    assert judge_memory(replace(timed(), peak_rss_mb={}), RULES, HEADS).outcome == "inconclusive"
    part = {"shared": 200.0, "baseline:topic": 200.0}
    found = told(judge_memory(replace(timed(), peak_rss_mb=part), RULES, HEADS))
    assert (found["peak memory"], found["peak memory vs baselines"]) == ("pass", "inconclusive")
    for value in (float("nan"), float("inf"), 0.0):
        broken = replace(timed(), peak_rss_mb={**part, "shared": value})
        assert told(judge_memory(broken, RULES, HEADS))["peak memory"] == "fail"


def test_a_timing_file_that_lacks_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="lack bundle, total_ms"):
        timings_from_json({"block": [0], "text": [1]})
    with pytest.raises(ValueError, match="differ in length"):
        timings_from_json({"block": [0], "text": [1], "bundle": ["shared"], "total_ms": []})
    null = timings_from_json({"block": [0], "text": [1], "bundle": ["shared"], "total_ms": [None]})
    assert np.isnan(null.total_ms[0])


ONE_FOR_ALL = {
    "requests": {
        "block": [n // 10 for n in range(100)] * 3,
        "bundle": [name for name in ("shared", "control", "baseline:tone") for _ in range(100)],
        "text": list(range(100)) * 3,
        "total_ms": [5.0] * 200 + [4.0] * 100,
    },
    "timed_as": {"baseline:topic": "baseline:tone"},
    "peak_rss_mb": {"shared": 210.0, "control": 210.0, "baseline:tone": 200.0},
    "bundle_bytes": {"shared": 90 * 2**20, "baseline:tone": 80 * 2**20},
    "digest": {"shared": "s", "control": "s", "baseline:tone": "t"},
    "threads": 2,
}


def test_a_baseline_that_was_timed_for_all_counts_for_each() -> None:
    timings = timings_from_json(ONE_FOR_ALL)
    figures = judge_latency(timings, RULES, HEADS).findings[2].figures
    assert (figures["shared"], figures["baseline"], figures["difference"]) == pytest.approx((5.0, 8.0, 0.625))
    memory = {one.subject: one.figures for one in judge_memory(timings, RULES, HEADS).findings}
    assert memory["peak memory vs baselines"]["baseline"] == 400
    assert memory["bundle size vs baselines"]["baseline"] == 160
    judged = {"shared": "s", "baseline:topic": "t", "baseline:tone": "t"}
    assert told(judge_latency(timings, RULES, HEADS, judged))["timed bundles"] == "pass"
    other = {**judged, "baseline:topic": "u"}
    assert told(judge_latency(timings, RULES, HEADS, other))["timed bundles"] == "fail"


@pytest.mark.parametrize("pair", [("shared", "baseline:tone"), ("baseline:topic", "shared")])
def test_only_baselines_are_timed_as_one_another(pair: tuple[str, str]) -> None:
    """A fast bundle must not stand for the one that ships, nor a slow one for a baseline."""
    with pytest.raises(ValueError, match="take 'shared' for another bundle"):
        timings_from_json({**ONE_FOR_ALL, "timed_as": dict([pair])})
