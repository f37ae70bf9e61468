"""A baseline that was fitted without some rows: what they could be worth to it is taken off the margin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from expectations.gates.accuracy import compared_with_baselines
from expectations.gates.comparison import compared_head, margin_set
from expectations.gates.head_metrics import possible_gain
from expectations.gates.scores import HeadScores
from expectations.spec import GateRules
from expectations.verdict import Finding
from model.spec import HeadSpec

RULES = GateRules(resamples=400)
LABELS = ("a", "b")
HEAD = HeadSpec(kind="multiclass", labels=LABELS)


def answers(wrong: int, unseen: tuple[float, ...] = (), n: int = 4000) -> HeadScores:
    """Half of the rows are `a`; the first `wrong` of these are answered `b`."""
    targets = np.repeat(np.array([0, 1], np.int32), n // 2)
    decisions = targets.copy()
    decisions[:wrong] = 1
    return HeadScores(kind="multiclass", labels=LABELS, targets=targets, decisions=decisions, unseen=unseen)


def compared(shared: HeadScores, baseline: HeadScores, margin: float) -> Finding:
    return compared_head("topic", HEAD, shared, baseline, RULES, margin, against="its baseline")


def test_what_unseen_rows_could_be_worth_by_hand() -> None:
    """800 of 2,000 rows of `a` are wrong: its recall is 0.6, its F1 0.75, its error 0.4. Recall of `b` is 1,
    its F1 2·2000 / (2800 + 2000) = 0.8333, its error 0.1667. Both have as many rows."""
    found = answers(800, unseen=(0.01, 0.03))
    assert possible_gain(found) == pytest.approx((0.01 * 0.4 + 0.03 * (1 - 5 / 6)) / 2)
    assert possible_gain(answers(800)) == 0.0


def test_the_larger_of_both_means_counts() -> None:
    """`rare` has 10 of 1,000 rows and is never answered: over labels it weighs a half, over rows 1%."""
    targets = np.zeros(1000, np.int32)
    targets[:10] = 1
    decisions = np.zeros(1000, np.int32)
    scores = HeadScores(
        kind="multiclass", labels=("usual", "rare"), targets=targets, decisions=decisions, unseen=(0.0, 0.1)
    )
    assert possible_gain(scores) == pytest.approx(0.1 / 2)


def test_the_margin_is_less_by_it() -> None:
    lacking = compared(answers(400), answers(400, unseen=(0.01, 0.01)), 0.03)
    whole = compared(answers(400), answers(400), 0.03)
    gain = possible_gain(answers(400, unseen=(0.01, 0.01)))
    assert 0 < gain < 0.002
    assert whole.figures["margin"] == 0.03 and "margin_taken" not in whole.figures
    assert lacking.figures["margin"] == pytest.approx(0.03 - gain)
    assert margin_set(lacking.figures) == 0.03
    assert lacking.outcome == "pass" and f"{gain:.4f} were taken off" in lacking.reason


def test_no_softer_than_the_baseline_of_all_rows_could_ask() -> None:
    """Beside a baseline that lacks rows a model passes only if it would pass beside one that is better by all
    that those could be worth."""
    margin, unseen = 0.02, (0.02, 0.02)
    for wrong in range(400, 520, 10):
        lacking = answers(400, unseen=unseen)
        better = round(possible_gain(lacking) * 4000)
        whole = compared(answers(wrong), answers(400 - better), margin)
        kept = compared(answers(wrong), lacking, margin)
        assert kept.outcome != "pass" or whole.outcome == "pass", wrong


def test_a_difference_just_within_the_whole_margin_does_not_pass() -> None:
    shared = answers(425)
    within = -float(compared(shared, answers(400), 0.02).figures["lower"] or 0.0) + 0.0005
    assert compared(shared, answers(400), within).outcome == "pass"
    assert compared(shared, answers(400, unseen=(0.02, 0.02)), within).outcome != "pass"


def test_rows_that_could_be_worth_the_margin_decide_nothing() -> None:
    found = compared(answers(0), answers(1900, unseen=(0.1, 0.1)), 0.01)
    assert found.outcome == "inconclusive"
    assert "`headgate retrain --force`" in found.reason and "`gates.baseline_new_rows`" in found.reason


def test_of_several_seeds_each_has_its_own_margin() -> None:
    baselines = [answers(400), answers(400, unseen=(0.02, 0.02))]
    mean = compared_with_baselines("topic", HEAD, answers(400), baselines, RULES, 0.03)
    gain = possible_gain(baselines[1])
    assert mean.figures["margin"] == pytest.approx(0.03 - gain / 2)
    assert mean.outcome == "pass"


def test_labels_that_are_taken_out_take_their_share_along() -> None:
    scores = replace(answers(400), unseen=(0.01, 0.05))
    assert scores.of_labels(np.array([False, True])).unseen == (0.05,)
    assert answers(400).of_labels(np.array([True, False])).unseen == ()
