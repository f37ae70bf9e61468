"""What a version answers to real requests: bounds that are broken beyond doubt, and none by luck."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from expectations.gates.scores import HeadScores, answered_labels
from expectations.live import (
    Allowed,
    Durations,
    HeadAnswers,
    Traffic,
    broken,
    evident_answers,
)
from expectations.stats.shares import apart_lower, quantile_upper, share_lower, spent, wilson_bounds

ALLOWED = Allowed(error_share=0.01, p95_ratio=1.5, label_shift=0.1, requests=200)
EDGES = (0.01, 0.016, 0.025, 0.04, 0.063)
TESTED = {"mood": HeadAnswers(requests=500, texts=500, labels={"low": 250.0, "high": 250.0})}


def durations(*cells: float) -> Durations:
    return Durations(edges=EDGES, up_to=[*np.cumsum([*cells, *[0] * (6 - len(cells))]).tolist()])


def traffic(
    answered: float, failed: float = 0, labels: Mapping[str, float] | None = None, texts: float | None = None
) -> Traffic:
    found = labels or {"low": answered / 2, "high": answered / 2}
    return Traffic(
        answered=answered,
        failed=failed,
        durations=durations(answered),
        heads={"mood": HeadAnswers(requests=answered, texts=texts or answered, labels=found)},
    )


def looked(now: Traffic, former: Durations | None = None, look: int = 1) -> tuple[str, ...]:
    return broken(now, ALLOWED, tested=TESTED, former=former, look=look)


def test_bounds_by_hand() -> None:
    # Clopper and Pearson: with k of n hits the bound solves P(Bin(n, p) >= k) = error; for k = n it is
    # error^(1/n).
    assert share_lower(10, 10, 0.99) == pytest.approx(0.01 ** (1 / 10))
    assert share_lower(0, 10, 0.99) == share_lower(0, 0, 0.99) == 0.0
    assert wilson_bounds(0.5, 100, 0.975) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    # Newcombe 1998, table II, example (a): 56/70 and 48/80, method 10: 0.0524 to 0.3339 at 95%.
    assert apart_lower(56 / 70, 70, 48 / 80, 80, 0.975) == pytest.approx(0.0524, abs=1e-4)
    assert apart_lower(48 / 80, 80, 56 / 70, 70, 0.975) == pytest.approx(0.0524, abs=1e-4)
    assert sum(spent(0.01, look) for look in range(1, 10_000)) < 0.01


def test_the_bound_of_a_quantile_is_an_edge() -> None:
    # Of 200 values the 197th smallest is a bound of the p95 at 99%: P(Bin(200, 0.95) < 197) = 0.991.
    assert quantile_upper(EDGES, [150, 196, 197, 200, 200, 200], 0.95, 0.01) == 0.025
    assert quantile_upper(EDGES, [0, 0, 0, 0, 0, 200], 0.95, 0.01) == math.inf
    assert quantile_upper(EDGES, [20, 20, 20, 20, 20, 20], 0.95, 0.01) == math.inf  # too few


def test_a_version_as_it_was_tested_breaks_nothing() -> None:
    assert looked(traffic(1000, failed=8), durations(1000)) == ()
    assert looked(traffic(0)) == ()


def test_failures_count_at_any_number_and_a_single_one_says_nothing() -> None:
    (said,) = looked(traffic(0, failed=20))
    assert said == "20 of 20 requests failed (100.0%), max_error_share is 1.0%"
    assert looked(traffic(30, failed=1)) == ()


def test_a_label_shift_is_held_beside_what_so_few_requests_can_show() -> None:
    shifted = {"low": 160.0, "high": 40.0}  # 80% instead of 50%
    (said,) = looked(traffic(200, labels=shifted))
    assert said == (
        "head mood: label 'low' is 80% of its answers, on the test rows it was 50%; max_label_shift is 10%"
    )
    # The same share of few requests, or 62% of many, may be luck or is within the bound.
    assert looked(traffic(199, labels={"low": 159.0, "high": 40.0})) == ()
    assert looked(traffic(200, labels={"low": 124.0, "high": 76.0})) == ()
    # Texts of one request may be alike: 200 requests of 32 texts are 200 draws.
    many = {name: 32 * rows for name, rows in {"low": 140.0, "high": 60.0}.items()}
    assert looked(traffic(200, labels=many, texts=32 * 200)) == ()
    assert looked(traffic(6400, labels=many, texts=6400)) != ()


def test_time_is_held_beside_the_former_versions() -> None:
    former = durations(0, 950, 50)  # p95 about 16 ms, at most 25
    slow = Traffic(answered=400, failed=0, durations=durations(0, 0, 100, 200, 100), heads={})
    (said,) = looked(slow, former)
    assert said == (
        "25% of its answers took longer than 40 ms; the former version's p95 is at most 25 ms, "
        "max_p95_ratio is 1.5"
    )
    assert looked(slow, None) == looked(slow, durations(0, 150, 10)) == (), "nothing to hold it beside"
    assert looked(Traffic(answered=400, failed=0, durations=former, heads={}), former) == ()


def test_looking_often_makes_no_breach_by_luck() -> None:
    """400 watches of a version at its bounds, each looked at twelve times."""
    rng, alarms = np.random.default_rng(7), 0
    for _ in range(400):
        n, low, failed = 0, 0, 0
        for look in range(1, 13):
            more = 200 if look == 1 else n // 4
            n, low, failed = n + more, low + rng.binomial(more, 0.6), failed + rng.binomial(more, 0.01)
            now = traffic(n - failed, failed, {"low": low, "high": n - failed - low})
            if looked(now, look=look):
                alarms += 1
                break
    assert alarms <= 12  # 1% of 400 are 4; of Bin(400, 0.01) more than 12 are rarer than 1 in 1,000


def test_what_a_version_answered_on_its_test_rows_goes_into_its_evidence_and_comes_back() -> None:
    mood = HeadScores(
        kind="multiclass",
        labels=("low", "high"),
        targets=np.array([0, 1, -1, -1]),
        decisions=np.array([1, 1, 0, -1]),
    )
    topics = HeadScores(
        kind="multilabel",
        labels=("rain", "late"),
        targets=np.array([[1, 0], [-1, -1], [0, 1], [-1, -1]]),
        decisions=np.array([[1, 1], [0, 0], [0, 1], [0, 0]]),
    )
    evidence = answered_labels({"mood": mood, "topics": topics})
    assert evidence == {
        "mood": {"rows": 3, "labels": {"low": 1, "high": 2}},
        "topics": {"rows": 3, "labels": {"rain": 1, "late": 2}},
    }
    assert evident_answers(evidence)["topics"].labels == {"rain": 1.0, "late": 2.0}
    assert evident_answers({"mood": None, "topics": {"rows": 0, "labels": {}}, "x": {"rows": "?"}}) == {}
