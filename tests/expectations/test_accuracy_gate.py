"""The accuracy gate: the interval decides, rows must be the same, nothing missing or broken passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.gates.accuracy import judge_accuracy
from expectations.gates.champion import Before, judge_champion
from expectations.gates.comparison import decide_margin
from expectations.gates.head_metrics import confusion, expected_calibration_error, metric_value, per_label
from expectations.gates.scores import HeadScores, card_heads, load_scores
from expectations.scored_rows import read_groups
from expectations.spec import ContractRules, GateRules
from model.measure.metrics import right_rows
from model.spec import HeadSpec

RULES = GateRules(resamples=400)
LABELS = ("a", "b", "c")
HEAD = HeadSpec(kind="multiclass", labels=LABELS)
HEADS = {"topic": HEAD}


def answers(n: int = 2000, wrong: int = 0, *, unlabelled: int = 0) -> HeadScores:
    """A multiclass head that is right but for the first `wrong` labelled rows."""
    targets = (np.arange(n) % 3).astype(np.int32)
    decisions = targets.copy()
    decisions[unlabelled : unlabelled + wrong] = (decisions[unlabelled : unlabelled + wrong] + 1) % 3
    targets[:unlabelled] = -1
    return HeadScores(kind="multiclass", labels=LABELS, targets=targets, decisions=decisions)


def outcome(shared: HeadScores, baseline: HeadScores, **rules: float) -> str:
    changed = replace(RULES, **rules)
    return judge_accuracy({"topic": shared}, {"topic": baseline}, changed, HEADS).outcome


def test_the_interval_decides() -> None:
    """2,000 rows, the shared model wrong where the baseline is right on k rows: 10 (-0.005, lower bound
    about -0.009), 30 (-0.015, bounds on both sides of it), 60 (-0.030, upper about -0.024)."""
    assert outcome(answers(wrong=10), answers()) == "pass"
    assert outcome(answers(wrong=30), answers()) == "inconclusive"
    assert outcome(answers(wrong=60), answers()) == "fail"


def test_an_inconclusive_finding_says_what_the_rows_can_decide() -> None:
    verdict = judge_accuracy({"topic": answers(wrong=30)}, {"topic": answers()}, RULES, HEADS)
    figures, (reason,) = verdict.findings[0].figures, verdict.reasons
    # 30 of 2,000 discordant: s.e. sqrt(30) / 2000 = 0.0027386, times 2.486475 = 0.0068095.
    assert figures["certifiable_margin"] == pytest.approx(0.0068095, abs=1e-6)
    assert figures["rows_needed"] == 413  # 2000 · (0.0068095 / 0.015)² = 412.2
    assert (figures["n"], figures["discordant"], figures["margin"]) == (2000, 30, 0.015)
    assert figures["rows_needed_as_seen"] is None  # the difference seen is the margin
    assert "no difference, about 413 rows can, none at the one seen" in reason
    verdict = judge_accuracy({"topic": answers(wrong=24)}, {"topic": answers()}, RULES, HEADS)
    # 24 discordant: s.e. sqrt(24) / 2000 = 0.0024495; (2.486475 · 0.0024495 / 0.003)² · 2000 = 8,244.
    assert verdict.findings[0].figures["rows_needed_as_seen"] == pytest.approx(8244, abs=2)
    assert "no difference, about 330 rows" in verdict.reasons[0]
    assert "at the one seen about 8,24" in verdict.reasons[0] and len(verdict.reasons[0]) < 241


def test_a_rare_label_is_named_with_the_rows_that_it_lacks() -> None:
    """Label 0 has 2 of 2,000 rows; both models find all. Spread over the labels nothing is lost."""
    targets = np.zeros((2000, 3), dtype=np.int8)
    targets[:2, 0] = targets[:600, 1] = targets[600:1300, 2] = 1
    scores = HeadScores(kind="multilabel", labels=("defect", "b", "c"), targets=targets, decisions=targets)
    head = HeadSpec(kind="multilabel", labels=scores.labels)
    verdict = judge_accuracy({"x": scores}, {"x": scores}, RULES, {"x": head})
    figures = verdict.findings[0].figures
    assert verdict.outcome == "inconclusive"
    assert "`defect` has 2" in verdict.reasons[0] and len(verdict.reasons[0]) < 241
    # What is lost of F1 1 must be below 3 · 0.015 less what the others' uncertainty takes: more than 33 rows.
    assert isinstance(figures["label_rows_needed"], int) and 33 < figures["label_rows_needed"] < 60
    enough = targets.copy()
    enough[1300 : 1300 + 80, 0] = 1
    plenty = replace(scores, targets=enough, decisions=enough)
    assert judge_accuracy({"x": plenty}, {"x": plenty}, RULES, {"x": head}).outcome == "pass"


def test_rows_in_groups_are_drawn_as_groups() -> None:
    shared, baseline = answers(2000, 10), answers(2000)
    assert outcome(shared, baseline) == "pass"
    grouped = replace(shared, groups=np.arange(2000) // 20)
    assert outcome(grouped, baseline) == "inconclusive"
    with pytest.raises(ValueError, match="expected one number for each"):
        replace(shared, groups=np.arange(10))


def test_groups_come_from_the_dataset(tmp_path: Path) -> None:
    """Training rows do not count; a test row without a group is one of its own."""
    table = pa.table(
        {
            "split": ["train", "test", "test", "test", "test", "test"],
            "group": ["z", "u", None, "v", "u", None],
        }
    )
    pq.write_table(table, tmp_path / "dataset.parquet")
    groups = read_groups(tmp_path)
    assert groups is not None
    assert groups[0] == groups[3] and len(set(groups.tolist())) == 4
    pq.write_table(pa.table({"split": ["test"], "group": pa.nulls(1)}), tmp_path / "dataset.parquet")
    assert read_groups(tmp_path) is None


def test_few_rows_never_pass_by_luck() -> None:
    """Even with no row lost, 100 rows only show that the loss is under 2.6%."""
    assert outcome(answers(100), answers(100)) == "inconclusive"
    assert outcome(answers(200), answers(200)) == "pass"


def test_unlabelled_rows_do_not_count() -> None:
    plain = judge_accuracy({"topic": answers(1000, 10)}, {"topic": answers(1000)}, RULES, HEADS)
    padded = judge_accuracy(
        {"topic": answers(1300, 10, unlabelled=300)}, {"topic": answers(1300, unlabelled=300)}, RULES, HEADS
    )
    assert padded.findings[0].figures == plain.findings[0].figures


@given(st.integers(0, 80), st.integers(0, 80), st.floats(0.001, 0.1), st.floats(0.001, 0.1))
def test_a_wider_margin_never_turns_a_pass(shared: int, baseline: int, one: float, other: float) -> None:
    narrow, wide = sorted((one, other))
    order = ("fail", "inconclusive", "pass")
    pair = answers(600, shared), answers(600, baseline)
    assert order.index(outcome(*pair, margin=narrow)) <= order.index(outcome(*pair, margin=wide))


@given(st.floats(), st.floats(), st.floats(0.001, 0.5))
def test_only_a_finite_lower_bound_above_the_margin_passes(lower: float, upper: float, margin: float) -> None:
    finite = np.isfinite(lower) and np.isfinite(upper)
    assert (decide_margin(lower, upper, margin) == "pass") == bool(finite and lower > -margin)


def test_one_heads_failure_is_not_outweighed() -> None:
    heads = {"topic": HEAD, "tone": HEAD}
    baselines = {name: answers(wrong=200) for name in heads}
    verdict = judge_accuracy({"topic": answers(), "tone": answers(wrong=400)}, baselines, RULES, heads)
    assert [f.outcome for f in verdict.findings] == ["pass", "fail"]
    assert verdict.outcome == "fail"


def test_missing_empty_or_broken_figures_never_pass() -> None:
    nan = np.full((2000, 3), 1 / 3)
    nan[7, 1] = np.inf
    broken = replace(answers(), probabilities=nan)
    empty = answers(30, unlabelled=30)
    for shared, baselines, expected in (
        ({}, {"topic": answers()}, "inconclusive"),
        ({"topic": answers()}, {}, "inconclusive"),
        ({"topic": empty}, {"topic": empty}, "inconclusive"),
        ({"topic": broken}, {"topic": answers()}, "fail"),
        ({"topic": answers()}, {"topic": broken}, "fail"),
    ):
        assert judge_accuracy(shared, baselines, RULES, HEADS).outcome == expected
    assert judge_accuracy({}, {}, RULES, {}).outcome == "inconclusive"


def test_other_rows_are_refused() -> None:
    other = answers()
    other = replace(other, targets=np.roll(other.targets, 1), decisions=np.roll(other.decisions, 1))
    with pytest.raises(ValueError, match="topic: the two models were scored on different rows"):
        outcome(answers(), other)
    with pytest.raises(ValueError, match="different rows"):
        outcome(answers(), answers(1500))


def test_floors_and_calibration_are_about_one_model() -> None:
    scores = answers(wrong=300)  # 85% right
    rules = replace(RULES, floors={"topic": 0.9}, label_floors={"topic": {"a": 0.5, "b": 0.95}})
    verdict = judge_accuracy({"topic": scores}, {"topic": scores}, rules, HEADS)
    assert {f.subject: f.outcome for f in verdict.findings} == {
        "topic": "pass",
        "topic floor": "fail",
        "topic floor of a": "pass",
        "topic floor of b": "fail",
    }
    sure = np.eye(3)[scores.decisions]  # says 100%, is right in 85%
    rules = replace(RULES, max_calibration_error={"topic": 0.1})
    verdict = judge_accuracy({"topic": replace(scores, probabilities=sure)}, {"topic": scores}, rules, HEADS)
    assert verdict.findings[1].figures["shared"] == pytest.approx(0.15)
    assert verdict.findings[1].outcome == "fail"
    # A limit on something that was not measured is not met.
    assert judge_accuracy({"topic": scores}, {"topic": scores}, rules, HEADS).outcome == "inconclusive"


def multilabel(n: int = 1500, flips: float = 0.1, seed: int = 0) -> HeadScores:
    rng = np.random.default_rng(seed)
    targets = (np.random.default_rng(1).random((n, 3)) < 0.3).astype(np.int8)
    decisions = np.where(rng.random((n, 3)) < flips, 1 - targets, targets).astype(np.int8)
    targets[0] = -1
    targets[1, 2] = -1
    return HeadScores(kind="multilabel", labels=LABELS, targets=targets, decisions=decisions)


@pytest.mark.parametrize("metric", ["macro_f1", "micro_f1", "accuracy", "subset_accuracy"])
def test_every_metric_of_a_multilabel_head(metric: str) -> None:
    heads = {"tags": HeadSpec(kind="multilabel", labels=LABELS, metric=metric)}  # type: ignore[arg-type]
    good, bad = multilabel(flips=0.05), multilabel(flips=0.2, seed=2)
    better = judge_accuracy({"tags": good}, {"tags": bad}, RULES, heads).findings[0]
    worse = judge_accuracy({"tags": bad}, {"tags": good}, RULES, heads).findings[0]
    assert (better.outcome, worse.outcome) == ("pass", "fail")
    assert better.figures["shared"] == pytest.approx(metric_value(good, metric))  # type: ignore[arg-type]
    assert better.figures["difference"] == pytest.approx(-worse.figures["difference"])  # type: ignore[operator]
    assert better.figures["n"] == 1499


def test_figures_of_a_head_by_hand() -> None:
    scores = HeadScores(
        kind="multiclass",
        labels=LABELS,
        targets=np.array([0, 0, 1, 2, -1]),
        decisions=np.array([0, 1, 1, 1, 2]),
        probabilities=np.array([[0.9, 0.1, 0], [0.3, 0.7, 0], [0, 1, 0], [0, 0.6, 0.4], [0, 0, 1]]),
    )
    assert confusion(scores).tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    a, b, c = per_label(scores)
    assert (a.precision, a.recall, a.support, a.answered) == (1.0, 0.5, 2, 1)
    assert (b.precision, b.recall, b.f1) == (pytest.approx(1 / 3), 1.0, pytest.approx(0.5))
    assert (c.f1, c.support, c.answered) == (0.0, 1, 0)
    # Each answer alone in its bin: |0.9 - 1|, |0.7 - 0|, |1 - 1|, |0.6 - 0|, over four rows.
    assert expected_calibration_error(scores) == pytest.approx((0.1 + 0.7 + 0 + 0.6) / 4)
    assert metric_value(scores, "macro_f1") == pytest.approx((2 / 3 + 0.5 + 0) / 3)


def test_the_first_model_passes_the_champions_gate_by_rule() -> None:
    verdict = judge_champion({"topic": answers()}, None, RULES, HEADS)
    assert verdict.outcome == "pass"
    assert [f.subject for f in verdict.findings] == ["first model"]


def test_a_worse_model_than_the_champion_does_not_ship() -> None:
    new = np.zeros(2000, dtype=np.bool_)
    verdict = judge_champion({"topic": answers(wrong=100)}, {"topic": answers()}, RULES, HEADS, seen=new)
    assert verdict.outcome == "fail"
    assert "the champion" in verdict.reasons[0]
    assert judge_champion({"topic": answers()}, {"topic": answers(wrong=100)}, RULES, HEADS).outcome == "pass"


def test_heads_come_openly_and_do_not_go_in_silence() -> None:
    heads, shared = {"topic": HEAD, "tone": HEAD}, {"topic": answers(), "tone": answers()}
    new = judge_champion(shared, {"topic": answers()}, RULES, heads, Before(heads={"topic": HEAD}))
    assert new.outcome == "pass" and "new head" in new.findings[1].reason
    # The champion answers `tone`, but was not scored: that is no new head.
    before = Before(heads=heads)
    assert judge_champion(shared, {"topic": answers()}, RULES, heads, before).outcome == "inconclusive"
    gone = judge_champion({"topic": answers()}, {"topic": answers()}, RULES, HEADS, before)
    assert gone.outcome == "fail" and "add `drop tone` to `gates.contract.allow`" in gone.reasons[0]
    allowed = replace(RULES, contract=ContractRules(allow=("drop tone",)))
    verdict = judge_champion({"topic": answers()}, {"topic": answers()}, allowed, HEADS, before)
    assert verdict.outcome == "pass"


def test_a_champion_with_other_labels_is_compared_by_name(tmp_path: Path) -> None:
    """The champion knows c, x, a in this order: its answers move, `x` becomes none of ours."""
    file, targets = tmp_path / "champion.npz", np.array([0, 1, 2, 0, -1], dtype=np.int32)
    np.savez(
        file,
        **{
            "decisions:topic": np.array([2, 1, 0, 1, 0], dtype=np.int32),
            "targets:topic": targets,
            "probabilities:topic": np.full((5, 3), 1 / 3, dtype=np.float32),
        },
    )
    card = {"heads": {"topic": {"kind": "multiclass", "labels": ["c", "x", "a"], "temperature": 1.3}}}
    scores = load_scores(file, HEADS, card_heads(card))["topic"]
    assert scores.decisions.tolist() == [0, -1, 2, -1, 2]
    right = right_rows(scores.kind, scores.decisions, scores.targets)
    assert right.tolist() == [True, False, True, False]
    same = load_scores(file, HEADS)["topic"]
    assert same.decisions.tolist() == [2, 1, 0, 1, 0] and same.probabilities is not None
    before = Before(heads=card_heads(card))
    verdict = judge_champion({"topic": scores}, {"topic": scores}, RULES, HEADS, before)
    assert "1 new label; `x` gone from it: 2 rows" in verdict.findings[0].reason
    # The labels that both have stand in another order, too: clients must be told.
    assert {f.subject for f in verdict.findings} >= {"contract: drop topic:x", "contract: reorder topic"}


def test_multilabel_labels_move_by_name(tmp_path: Path) -> None:
    file = tmp_path / "champion.npz"
    targets = np.array([[1, 0, 0], [0, 1, -1]], dtype=np.int8)
    np.savez(file, **{"decisions:tags": np.array([[1, 0], [0, 1]], dtype=np.int8), "targets:tags": targets})
    heads = {"tags": HeadSpec(kind="multilabel", labels=LABELS)}
    old = {"tags": HeadSpec(kind="multilabel", labels=("b", "a"))}
    assert load_scores(file, heads, old)["tags"].decisions.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_a_scores_file_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    file, targets = tmp_path / "scores.npz", np.array([0, 1, 2], dtype=np.int32)
    assert load_scores_of(file, {"decisions:other": targets}) == {}
    for arrays, message in (
        ({"decisions:topic": targets}, "targets:topic"),
        ({"targets:topic": targets, "decisions:topic": targets[:2]}, "do not fit"),
        ({"targets:topic": targets, "decisions:topic": targets + 1}, "expected -1 to 2, saw 1 to 3"),
        ({"targets:topic": targets, "decisions:topic": targets / 1}, "expected integers"),
        (
            {"targets:topic": targets, "decisions:topic": targets, "probabilities:topic": np.ones((3, 2))},
            "score again",
        ),
    ):
        with pytest.raises(ValueError, match=message) as error:
            load_scores_of(file, arrays)
        assert "scores.npz, head 'topic'" in str(error.value)


def load_scores_of(file: Path, arrays: dict[str, np.ndarray]) -> dict[str, HeadScores]:  # type: ignore[type-arg]
    np.savez(file, **arrays)
    return load_scores(file, HEADS)
