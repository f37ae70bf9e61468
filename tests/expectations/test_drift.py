"""Drift: golden values by hand, what must hold for any counts, and what is said when nothing is compared."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from expectations.data.drift import Levels, compare
from expectations.stats.divergence import (
    jensen_shannon,
    population_stability_index,
    psi_noise,
    rebin,
)

COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=12)


def profile(
    counts: dict[str, int], labelled: int | None = None, kind: str = "multiclass", lengths: Any = None
) -> dict[str, Any]:
    rows = sum(counts.values()) if labelled is None else labelled
    split = {"labelled": rows, "counts": counts}
    return {
        "heads": {"topic": {"kind": kind, "labels": list(counts), "splits": {"train": split}}},
        "text_chars": {} if lengths is None else {"train": {"histogram": lengths}},
    }


def test_psi_by_hand() -> None:
    # (99.5, 199.5)/299 against (199.5, 99.5)/299: twice the same term, Δ ln(199.5/99.5) with Δ = 100/299.
    expected = 2 * (100 / 299) * math.log(199.5 / 99.5)
    assert population_stability_index([99, 199], [199, 99]) == pytest.approx(expected)
    assert expected == pytest.approx(0.4653, abs=5e-5)


def test_js_by_hand() -> None:
    # Halved counts (1.5, 0.5)/2 against (0.5, 1.5)/2: 1 − H(3/4) bits.
    entropy = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert jensen_shannon([1, 0], [0, 1]) == pytest.approx(1 - entropy)


@given(COUNTS, st.data())
def test_divergences_are_finite_symmetric_and_zero_only_for_equal_shares(now: list[int], data: Any) -> None:
    then = data.draw(st.lists(st.integers(0, 10_000), min_size=len(now), max_size=len(now)))
    for divergence, top in ((population_stability_index, math.inf), (jensen_shannon, 1.0)):
        there = divergence(now, then)
        assert 0 <= there <= top and math.isfinite(there)
        assert there == pytest.approx(divergence(then, now), abs=1e-12)
        assert divergence(now, now) == 0


@pytest.mark.parametrize("cells", [2, 3, 28, 150])
def test_noise_is_the_chi_square_quantile(cells: int) -> None:
    exact = (1 / 500 + 1 / 800) * chi2.ppf(0.99, cells - 1)
    assert psi_noise(cells, 500, 800) == pytest.approx(exact, rel=0.02)


def test_two_samples_of_one_distribution_are_below_the_noise_99_times_of_100() -> None:
    rng = np.random.default_rng(7)
    shares = rng.dirichlet(np.full(12, 3.0))
    beyond = [
        population_stability_index(rng.multinomial(400, shares), rng.multinomial(600, shares))
        > psi_noise(12, 400, 600)
        for _ in range(2000)
    ]
    assert 0.002 < np.mean(beyond) < 0.02


def test_a_first_run_has_nothing_to_compare_with() -> None:
    (drift,) = compare(profile({"a": 500, "b": 500}), None, Levels())
    assert drift.state == "nothing to compare with"
    assert drift.level(Levels()) is None
    assert drift.figures(Levels()) == ()


def test_few_rows_are_not_compared() -> None:
    (drift,) = compare(profile({"a": 199, "b": 0}), profile({"a": 0, "b": 9000}), Levels(min_rows=200))
    assert (drift.state, drift.rows, drift.rows_then, drift.psi) == ("too few rows", 199, 9000, None)


def test_levels_and_what_moved() -> None:
    old = profile({"a": 5000, "b": 5000})
    levels = Levels()
    said = {
        share: compare(profile({"a": share, "b": 10_000 - share}), old, levels)[0].level(levels)
        for share in (5000, 5500, 6700, 8500)
    }
    # PSI = Δ (ln((0.5 + Δ) / 0.5) − ln((0.5 − Δ) / 0.5)): 0.010 at 55%, 0.120 at 67%, 0.607 at 85%.
    assert said == {5000: "ok", 5500: "ok", 6700: "warn", 8500: "fail"}
    (drift,) = compare(profile({"a": 8500, "b": 1500}), old, levels)
    assert drift.moved[0] == ("a", 0.5, 0.85)


def test_a_large_figure_on_few_rows_is_noise() -> None:
    levels = Levels(min_rows=1)
    (drift,) = compare(profile({"a": 6, "b": 4}), profile({"a": 4, "b": 6}), levels)
    assert drift.psi is not None and drift.psi > levels.psi_warn
    assert drift.level(levels) == "ok"


def test_a_label_that_vanished_or_appeared_counts() -> None:
    now, then = profile({"a": 900, "new": 100}), profile({"a": 900, "gone": 100})
    (drift,) = compare(now, then, Levels())
    assert drift.level(Levels()) == "fail"
    assert {name for name, *_ in drift.moved} == {"gone", "new"}


def test_multilabel_labels_are_coins_that_add_up() -> None:
    now = profile({"x": 300, "y": 100}, 1000, "multilabel")
    then = profile({"x": 200, "y": 100}, 1000, "multilabel")
    (drift,) = compare(now, then, Levels())
    x = population_stability_index([300, 700], [200, 800])
    assert drift.psi == pytest.approx(x)
    assert drift.js == pytest.approx(jensen_shannon([300, 700], [200, 800]))


def test_a_head_whose_kind_changed_is_not_compared() -> None:
    now, then = profile({"x": 300}, 1000, "multilabel"), profile({"x": 300})
    assert compare(now, then, Levels())[0].state == "nothing to compare with"


@given(
    st.lists(st.integers(0, 500), min_size=1, max_size=20),
    st.lists(st.floats(0.5, 99), min_size=2, max_size=8, unique=True),
)
def test_rebinning_loses_nothing(counts: list[int], edges: list[float]) -> None:
    histogram = {"edges": np.linspace(1, 50, len(counts) + 1).tolist(), "counts": counts}
    found = rebin(histogram, sorted(edges))
    assert found.sum() == pytest.approx(sum(counts))
    assert (found >= -1e-9).all()


def test_text_lengths_are_compared_over_different_edges() -> None:
    old = {"edges": [1, 10, 100, 1000], "counts": [500, 400, 100]}
    same = {"edges": [1, 100, 1000], "counts": [900, 100]}
    longer = {"edges": [1, 100, 2000], "counts": [10, 990]}
    labels = {"a": 1000}
    then = profile(labels, lengths=old)
    quiet = compare(profile(labels, lengths=old), then, Levels())[-1]
    loud = compare(profile(labels, lengths=longer), then, Levels())[-1]
    assert (quiet.subject, quiet.psi, quiet.level(Levels())) == ("text length", 0, "ok")
    assert loud.level(Levels()) == "fail"
    assert compare(profile(labels, lengths=same), then, Levels())[-1].state == "compared"


def test_a_split_without_texts_is_left_out() -> None:
    empty = profile({"a": 500})
    empty["text_chars"] = {"train": None}
    assert [one.subject for one in compare(empty, empty, Levels())] == ["topic"]
