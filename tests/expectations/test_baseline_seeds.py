"""Baselines of several seeds: their mean decides, a missing one never counts, and slices follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.gates.accuracy import compared_with_baselines, judge_accuracy, mean_finding
from expectations.gates.figures import figures_of
from expectations.gates.scores import HeadScores
from expectations.spec import GateRules
from expectations.verdict import Figures, Finding
from model.spec import HeadSpec

RULES = GateRules(resamples=400)
LABELS = ("a", "b", "c")
HEAD = HeadSpec(kind="multiclass", labels=LABELS)


def answers(wrong: int, n: int = 2000) -> HeadScores:
    """Right but for the first `wrong` rows."""
    targets = (np.arange(n) % 3).astype(np.int32)
    decisions = targets.copy()
    decisions[:wrong] = (decisions[:wrong] + 1) % 3
    return HeadScores(kind="multiclass", labels=LABELS, targets=targets, decisions=decisions)


def compared(difference: float, half: float, baseline: float, margin: float = 0.025) -> Finding:
    figures: Figures = {"metric": "accuracy", "difference": difference, "n": 100, "rows_needed": 400}
    figures["margin"] = margin
    figures |= {"lower": difference - half, "upper": difference + half, "baseline": baseline}
    return Finding(subject="topic", outcome="inconclusive", reason="", figures=figures)


def test_the_means_of_difference_and_bounds_decide() -> None:
    found = [compared(-0.01, 0.01, 0.80), compared(0.0, 0.01, 0.79), compared(0.01, 0.04, 0.78)]
    mean = mean_finding(found)
    assert mean.figures["difference"] == pytest.approx(0.0)
    assert mean.figures["lower"] == pytest.approx(-0.02)  # (-0.02 - 0.01 - 0.03) / 3
    assert mean.figures["upper"] == pytest.approx(0.02)  # (0 + 0.01 + 0.05) / 3
    assert mean.figures["baseline"] == pytest.approx(0.79)
    assert (mean.figures["n"], mean.figures["baseline_seeds"]) == (100, 3)
    assert (mean.figures["baseline_low"], mean.figures["baseline_high"]) == (0.78, 0.80)
    assert mean.outcome == "pass" and "mean of 3 baselines (0.7800 to 0.8000)" in mean.reason
    tighter = [replace(one, figures={**one.figures, "margin": 0.015}) for one in found]
    assert mean_finding(tighter).outcome == "inconclusive"
    worse = [compared(-0.05, 0.01, 0.8, 0.02), compared(-0.03, 0.01, 0.8, 0.02)]
    assert mean_finding(worse).outcome == "fail"


def test_one_lucky_baseline_does_not_decide() -> None:
    """2,000 rows: 30 wrong beside a baseline that is right on all cannot be told from the margin; the mean
    baseline has 20 wrong, and the margin is then kept for certain."""
    shared, baselines = answers(30), [answers(0), answers(25), answers(35)]
    lucky = compared_with_baselines("topic", HEAD, shared, baselines[:1], RULES, 0.015)
    mean = compared_with_baselines("topic", HEAD, shared, baselines, RULES, 0.015)
    assert (lucky.outcome, mean.outcome) == ("inconclusive", "pass")
    assert mean.figures["difference"] == pytest.approx(-0.005)  # (-30 - 5 + 5) / 3 / 2000
    assert "of which it passes 2 alone" in mean.reason
    known = figures_of(mean)
    assert (known.baseline_seeds, known.baseline_low, known.baseline_high) == (3, 0.9825, 1.0)
    assert known.numbers()["baseline_low"] == 0.9825


@given(st.integers(0, 80), st.integers(0, 80), st.integers(2, 5))
def test_equal_baselines_decide_as_one_alone(shared: int, baseline: int, seeds: int) -> None:
    alone = compared_with_baselines("topic", HEAD, answers(shared), [answers(baseline)], RULES, 0.02)
    several = [answers(baseline)] * seeds
    mean = compared_with_baselines("topic", HEAD, answers(shared), several, RULES, 0.02)
    assert mean.outcome == alone.outcome
    for name in ("difference", "lower", "upper", "baseline", "certifiable_margin"):
        assert mean.figures[name] == pytest.approx(alone.figures[name])


@given(st.lists(st.integers(0, 60), min_size=2, max_size=4), st.randoms())
def test_the_order_of_baselines_is_of_no_account(wrong: list[int], dice: np.random.Generator) -> None:
    baselines = [answers(one) for one in wrong]
    one = compared_with_baselines("topic", HEAD, answers(20), baselines, RULES, 0.02)
    dice.shuffle(baselines)
    other = compared_with_baselines("topic", HEAD, answers(20), baselines, RULES, 0.02)
    assert one.outcome == other.outcome
    assert one.figures["lower"] == pytest.approx(other.figures["lower"])


def test_a_missing_or_broken_baseline_decides_nothing_or_fails() -> None:
    heads, shared = {"topic": HEAD}, {"topic": answers(10)}
    missing = judge_accuracy(shared, {"topic": answers(0)}, RULES, heads, {"topic": [answers(0), None]})
    assert missing.outcome == "inconclusive" and "Baseline 3 of 3: 0 answers" in missing.reasons[0]
    broken = replace(answers(0), probabilities=np.full((2000, 3), np.nan, np.float32))
    failed = judge_accuracy(shared, {"topic": answers(0)}, RULES, heads, {"topic": [broken]})
    assert failed.outcome == "fail" and "Baseline 2 of 2" in failed.reasons[0]
