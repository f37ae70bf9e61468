"""The score interval of a paired difference: known values, known symmetries, honest coverage."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from statsmodels.stats.contingency_tables import mcnemar

from expectations.stats.paired import paired_difference, tango_bounds, tango_statistic, wilson_interval
from expectations.stats.power import certifiable_margin, rows_needed


def test_a_published_interval() -> None:
    """Airway reactivity before and after transplantation, 21 children, 1 and 7 discordant: Fagerland,
    Lydersen & Laake (2014, Statistics in Medicine 33, 2850) print Tango's 95% interval."""
    assert tango_bounds(1, 7, 21, 0.975) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_without_disagreement_the_bounds_have_a_closed_form() -> None:
    """With b = c = 0 the constrained estimate is 0, z² = n d / (1 - d), so d = z² / (n + z²): by hand,
    100 rows at z = 1.644854: 2.705543 / 102.705543 = 0.026343."""
    assert tango_bounds(0, 0, 100, 0.95) == pytest.approx((-0.026343, 0.026343), abs=1e-6)


def test_at_no_difference_the_statistic_is_mcnemars() -> None:
    table = [[50, 17], [9, 24]]
    chi2 = mcnemar(table, exact=False, correction=False).statistic
    assert tango_statistic(17, 9, 100, 0.0) ** 2 == pytest.approx(chi2)


@pytest.mark.parametrize(("b", "c", "n"), [(40, 20, 160), (3, 11, 400), (120, 140, 5000), (1, 0, 50)])
def test_bounds_are_roots_of_the_quartic(b: int, c: int, n: int) -> None:
    """Yang, Sun & Hardin (2013) write the bounds as roots of a quartic; ours come from root finding on
    the statistic, by another way."""
    g = norm.ppf(0.95) ** 2
    quartic = [
        n**2 * (n / g + 1) ** 2,
        -n * (b - c) * (n / g + 1) * (4 * n / g + 1),
        2 * n * (b - c) ** 2 * (3 * n / g + 2) / g - n**2 * ((b + c) / g + 1),
        n * (b - c) * (2 * (b + c) / g + 1) - (b - c) ** 3 * (4 * n / g + 1) / g,
        (b - c) ** 2 * ((b - c) ** 2 / g - (b + c)) / g,
    ]
    roots = sorted(root.real for root in np.roots(quartic) if abs(root.imag) < 1e-9)
    for bound in tango_bounds(b, c, n, 0.95):
        assert min(abs(bound - root) for root in roots) < 1e-7


counts = st.integers(1, 400).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n)).flatmap(
        lambda bn: st.tuples(st.just(bn[0]), st.integers(0, bn[1] - bn[0]), st.just(bn[1]))
    )
)


@given(counts, st.floats(0.51, 0.999))
def test_bounds_hold_the_estimate_and_mirror(bcn: tuple[int, int, int], confidence: float) -> None:
    b, c, n = bcn
    lower, upper = tango_bounds(b, c, n, confidence)
    assert -1 <= lower <= (b - c) / n <= upper <= 1
    assert tango_bounds(c, b, n, confidence) == pytest.approx((-upper, -lower), abs=1e-8)
    narrower = tango_bounds(b, c, n, 0.5 + (confidence - 0.5) / 2)
    assert lower - 1e-9 <= narrower[0] and narrower[1] <= upper + 1e-9


@pytest.mark.parametrize(("b", "c", "n"), [(0, 0, 0), (-1, 0, 10), (6, 6, 10)])
def test_impossible_counts_are_refused(b: int, c: int, n: int) -> None:
    with pytest.raises(ValueError, match="disagreements are counted among the rows"):
        tango_bounds(b, c, n, 0.95)


def test_arrays_are_counted() -> None:
    shared = np.array([True, True, False, False, True])
    baseline = np.array([True, False, True, True, True])
    found = paired_difference(shared, baseline, 0.95)
    assert found.value == pytest.approx(-0.2)  # 3/5 against 4/5
    assert (found.lower, found.upper) == tango_bounds(1, 2, 5, 0.95)
    assert found.standard_error == pytest.approx(math.sqrt(3) / 5)
    with pytest.raises(ValueError, match="equally long"):
        paired_difference(shared, baseline[:4], 0.95)


def test_wilson_agrees_with_scipy() -> None:
    right = np.arange(60) < 47
    ours = wilson_interval(right, 0.95)
    theirs = binomtest(47, 60).proportion_ci(0.90, method="wilson")
    assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("n", [60, 300, 2000])
@pytest.mark.parametrize("difference", [0.0, -0.03], ids=["null", "boundary"])
def test_one_sided_coverage(n: int, difference: float) -> None:
    """4,000 draws: the Monte-Carlo standard error of 95% is 0.34%, and three of them plus one for the
    discreteness of small n are allowed: 93.6 to 97.5 (a conservative bound is no fault)."""
    only_shared = 0.06
    chances = [only_shared, only_shared - difference, 1 - 2 * only_shared + difference]
    draws = np.random.default_rng(n).multinomial(n, chances, size=4000)
    bounds = lru_cache(maxsize=None)(lambda b, c: tango_bounds(b, c, n, 0.95))
    found = np.array([bounds(int(b), int(c)) for b, c, _ in draws])
    for covered in (np.mean(found[:, 0] <= difference), np.mean(found[:, 1] >= difference)):
        assert 0.936 <= covered <= 0.975


def test_power_by_hand() -> None:
    """z(0.95) + z(0.8) = 1.644854 + 0.841621 = 2.486475. With one row in ten discordant, 1,000 rows have
    s.e. sqrt(0.1 / 1000) = 0.01 and certify 0.0249; 0.015 needs 1000 · (0.02486475 / 0.015)² = 2747.7."""
    assert certifiable_margin(0.01, confidence=0.95, power=0.8) == pytest.approx(0.02486475, abs=1e-7)
    assert rows_needed(1000, 0.01, 0.015, confidence=0.95, power=0.8) == 2748
    with pytest.raises(ValueError, match="positive"):
        rows_needed(1000, 0.01, 0.0, confidence=0.95, power=0.8)


def test_the_planned_power_is_had() -> None:
    """An equally good model on the planned rows passes 80% of the time (2,000 draws: s.e. 0.9%)."""
    discordant, margin = 0.1, 0.03
    n = rows_needed(1000, math.sqrt(discordant / 1000), margin, confidence=0.95, power=0.8)
    draws = np.random.default_rng(5).multinomial(
        n, [discordant / 2, discordant / 2, 1 - discordant], size=2000
    )
    bounds = lru_cache(maxsize=None)(lambda b, c: tango_bounds(b, c, n, 0.95)[0])
    passed = np.mean([bounds(int(b), int(c)) > -margin for b, c, _ in draws])
    assert 0.77 <= passed <= 0.84
