"""The endpoint's campaigns find what they look for, and small ones pass."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.campaigns import connections, fairness, overload, requests
from tests.campaigns import swap as swap_soak
from tests.campaigns.swap import BAD_SHARE, KINDS, Soak, percentiles, wrong_replies
from tests.support.measures import Measure
from tests.support.swap_load import DECIMALS, TEXTS
from tests.support.toy_bundle import Shop, make_shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = make_shop(tmp_path)
    made.bundle(1)
    made.bundle(2)
    return made


def replies(shop: Shop, *versions: int) -> list[list[Any]]:
    """Ten replies of each version to each text, as the load notes them."""
    found = []
    for version in versions:
        for text, answer in swap_soak._answers(shop, version).items():
            found.append([200, version, text, [round(p, DECIMALS) for p in answer], 10])
    return found


def test_replies_of_bad_and_of_mixed_versions_are_found(shop: Shop) -> None:
    seen = replies(shop, 1, 2)
    assert len(seen) == 2 * len(TEXTS)
    assert wrong_replies(seen, shop, {1, 2}) == (0, 0)
    assert wrong_replies(seen, shop, {1}) == (10 * len(TEXTS), 0)
    named_wrongly = [[status, 3 - version, *rest] for status, version, *rest in seen]
    assert wrong_replies(named_wrongly, shop, {1, 2}) == (0, 20 * len(TEXTS))
    half = [[*seen[0][:3], seen[0][3][:3] + seen[len(TEXTS)][3][3:], 1]]
    assert wrong_replies(half, shop, {1, 2}) == (0, 1)
    assert wrong_replies([[*seen[0][:3], seen[0][3][:-1], 1]], shop, {1}) == (0, 1)


def test_latencies_are_told_apart_by_when_a_request_began() -> None:
    seen = Soak(rounds=[("steady", 0.0, 10.0), ("swapping", 10.0, 20.0)], orders=[(15.0, 16.0)])
    times = {"began_s": np.arange(0.0, 20.0, 0.1), "took_ms": np.full(200, 1.0)}
    times["took_ms"][100:] = 2.0
    times["took_ms"][150:160] = 5.0
    found = percentiles(times, seen)
    assert (found["steady p99"], found["swapping p50"], found["order p50"]) == (1.0, 2.0, 5.0)
    assert (found["steady requests"], found["swapping requests"]) == (100, 100)


def test_the_plan_has_enough_bad_orders_of_every_kind() -> None:
    import random

    for orders in (20, 100, 120, 333):
        plan = Counter(swap_soak._plan(orders, random.Random(1)))
        assert plan.total() == orders
        assert 0.4 <= 1 - plan["good"] / orders <= BAD_SHARE + 0.05
        assert set(plan) == {*KINDS, "good"}


def unmet(measures: list[Measure], but: tuple[str, ...] = ()) -> list[str]:
    """Names of the goals that were not met, those of times and of rates left out."""
    return [measure.name for measure in measures if measure.met is False and measure.name not in but]


@pytest.mark.slow
def test_a_small_soak_loses_and_mixes_nothing() -> None:
    measures = swap_soak.soak_measures(requests=4000, orders=24, rounds=2, connections=3)
    assert not unmet(measures, but=("p99 while swapping by steady",))


@pytest.mark.slow
def test_a_short_overload_is_answered_with_200_and_503_only() -> None:
    measures = overload.overload(3.0) + overload.ends(2, 1) + overload.ends(1, 2)
    assert not unmet(measures, but=("sent, by capacity",))


@pytest.mark.slow
def test_a_few_requests_of_every_kind() -> None:
    report = requests.measure(argparse.Namespace(hypothesis=300, schemathesis=200, quick=True))
    assert not unmet(list(report.measures))
    assert "by hand: requests" in [measure.name for measure in report.measures]


@pytest.mark.slow
def test_a_few_connections_of_every_kind() -> None:
    options = argparse.Namespace(silent=1100, asked=10, flood=200, quick=True)
    assert not unmet(list(connections.measure(options).measures))


@pytest.mark.slow
def test_small_requests_are_answered_beside_large_ones() -> None:
    options = argparse.Namespace(requests=30, bundle=None, threads=1, quick=True)
    found = {measure.name: measure.value for measure in fairness.measure(options).measures}
    assert found["one text: not answered 200"] == 0 and (found["64 texts: answered 200"] or 0) >= 1
    assert (found[fairness.RATIO] or np.inf) < 40, "in the order of their coming it is seventy"
