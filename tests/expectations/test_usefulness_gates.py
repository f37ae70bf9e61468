"""A model must be of some use by itself: better than one constant answer, and every label found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from expectations.gates.accuracy import judge_accuracy
from expectations.gates.scores import HeadScores
from expectations.gates.usefulness.labels import judge_labels
from expectations.gates.usefulness.references import Answers, judge_references, wanted_references
from expectations.spec import GateRules, ReferenceRules
from expectations.verdict import Finding, verdict_from_json
from model.measure.majority import majority_answer, repeated
from model.spec import HeadSpec
from report.verdict_table import verdict_rows

RULES = GateRules(resamples=400)
LABELS = ("rare", "usual")
HEAD = HeadSpec(kind="multiclass", labels=LABELS)


def scores(targets: Any, decisions: Any, labels: tuple[str, ...] = LABELS) -> HeadScores:
    kind = "multiclass" if np.ndim(targets) == 1 else "multilabel"
    dtype = np.int32 if kind == "multiclass" else np.int8
    return HeadScores(
        kind=kind,  # type: ignore[arg-type]
        labels=labels,
        targets=np.asarray(targets, dtype),
        decisions=np.asarray(decisions, dtype),
    )


def beside(shared: HeadScores, bag: HeadScores | None = None, head: HeadSpec = HEAD) -> Answers:
    answer = majority_answer(head.primary_metric, head.kind, shared.targets, len(head.labels))
    constant = replace(shared, decisions=repeated(answer, len(shared.targets)), probabilities=None)
    return {"h": {"majority": constant, "bag_of_words": bag or constant}}


def judged(
    shared: HeadScores, bag: HeadScores | None = None, rules: GateRules = RULES, head: HeadSpec = HEAD
) -> tuple[Finding, Finding]:
    (verdict,) = judge_references({"h": shared}, beside(shared, bag, head), rules, {"h": head})
    majority, words = verdict.findings
    return majority, words


def rare(found: int, false_alarms: int = 0, *, rows: int = 1000, of: int = 45) -> HeadScores:
    """The first `of` rows are rare; `found` of them are answered so, and `false_alarms` others."""
    targets, decisions = np.ones(rows, int), np.ones(rows, int)
    targets[:of], decisions[:found] = 0, 0
    decisions[of : of + false_alarms] = 0
    return scores(targets, decisions)


def test_answering_one_label_always_fails_however_good_it_looks() -> None:
    majority, _ = judged(rare(0))
    assert majority.outcome == "fail"
    assert "0.9550" in majority.reason and "always `usual`" in majority.reason
    (labels,) = judge_labels({"h": rare(0)}, RULES, {"h": HEAD}).findings
    assert labels.outcome == "fail" and "`rare` (never answered, 45 rows)" in labels.reason
    assert labels.figures["shared"] == 0 and labels.figures["limit"] == 2


def test_the_bound_decides_whether_it_is_better() -> None:
    """Of 1,000 rows 30 more right and 5 more wrong than the constant: +0.025, lower bound about 0.015.
    8 and 5: +0.003 between about -0.003 and 0.010. 5 and 30: certainly worse."""
    assert judged(rare(30, 5))[0].outcome == "pass"
    unproven = judged(rare(8, 5))[0]
    assert unproven.outcome == "inconclusive"
    assert "test rows would show it" in unproven.reason and "macro_f1" in unproven.reason
    assert judged(rare(5, 30))[0].outcome == "fail"
    # +0.001: nobody is told to label 68 times as many rows.
    hardly = judged(rare(6, 5))[0]
    assert hardly.outcome == "inconclusive"
    assert "learned nothing" in hardly.reason and "test rows would" not in hardly.reason


def test_test_rows_of_one_answer_only_tell_nothing() -> None:
    one = scores(np.ones(300), np.ones(300))
    assert judged(one)[0].outcome == "inconclusive"


def test_a_bag_of_words_that_is_better_fails_warns_or_is_said() -> None:
    weak, strong = rare(20, 5), rare(45)
    failed = judged(weak, strong)[1]
    assert failed.outcome == "fail" and "0.9700" in failed.reason and "1.0000" in failed.reason
    warned = judged(weak, strong, replace(RULES, references=ReferenceRules(bag_of_words="warn")))[1]
    assert warned.outcome == "pass" and "worse" in warned.remark
    maybe = judged(rare(42), rare(43))[1]
    assert maybe.outcome == "pass" and "may be worse" in maybe.remark
    # 5 of 1,000 rows: certainly worse, however little.
    assert judged(rare(40), rare(45))[1].outcome == "fail"
    assert judged(strong, weak)[1].remark == ""


def test_the_table_shows_the_references() -> None:
    (verdict,) = judge_references({"h": rare(45)}, beside(rare(45)), RULES, {"h": HEAD})
    majority, words = verdict_rows(verdict)
    assert (majority["subject"], majority["baseline"], majority["margin"]) == (
        "h vs majority",
        "0.955",
        "> 0",
    )
    assert (words["subject"], words["margin"], words["verdict"]) == (
        "h vs bag of words",
        "not < 0",
        "pass",
    )


def test_references_can_be_switched_off_one_by_one() -> None:
    off = ReferenceRules(majority="off", bag_of_words="off")
    assert judge_references({}, {}, replace(RULES, references=off), {"h": HEAD}) == []
    one = replace(RULES, references=ReferenceRules(majority="off"))
    assert wanted_references(one) == ("bag_of_words",)


def test_missing_or_broken_answers_never_pass() -> None:
    sound = rare(45)
    for shared, answers in (({}, beside(sound)), ({"h": sound}, {})):
        (verdict,) = judge_references(shared, answers, RULES, {"h": HEAD})
        assert {f.outcome for f in verdict.findings} == {"inconclusive"}
    broken = replace(sound, probabilities=np.full((1000, 2), np.nan))
    assert {f.outcome for f in judged(broken)} == {"fail"}
    with pytest.raises(ValueError, match="different rows"):
        judge_references({"h": sound}, beside(rare(45, of=46)), RULES, {"h": HEAD})
    assert judge_labels({}, RULES, {"h": HEAD}).outcome == "inconclusive"


MANY = tuple(f"l{at}" for at in range(40))


def many(wrong: int, never: int = 0, *, rows_each: int = 3) -> HeadScores:
    """40 labels of `rows_each` rows; the first `wrong` rows of all are answered with the next label, the last
    `never` labels with the first."""
    targets = np.repeat(np.arange(40), rows_each)
    decisions = targets.copy()
    decisions[:wrong] = (decisions[:wrong] + 1) % 40
    if never:
        decisions[targets >= 40 - never] = 0
    return scores(targets, decisions, MANY)


def test_few_rows_of_many_labels_are_named_and_pass() -> None:
    head = HeadSpec(kind="multiclass", labels=MANY)
    (silent,) = judge_labels({"h": many(0)}, RULES, {"h": head}).findings
    assert (silent.outcome, silent.remark) == ("pass", "")
    (named,) = judge_labels({"h": many(0, never=7)}, RULES, {"h": head}).findings
    assert named.outcome == "pass" and "and 5 more are found: label more" in named.remark
    (failed,) = judge_labels({"h": many(0, never=7, rows_each=11)}, RULES, {"h": head}).findings
    assert failed.outcome == "fail" and "and 5 more: give them more rows" in failed.reason


def test_a_label_may_be_allowed_to_stay_unanswered() -> None:
    rules = replace(RULES, allow_unanswered={"h": ("rare", "usual")})
    (allowed,) = judge_labels({"h": rare(0)}, rules, {"h": HEAD}).findings
    assert allowed.outcome == "pass" and "`rare`" in allowed.remark and "allow_unanswered" in allowed.remark
    (other,) = judge_labels(
        {"h": rare(0)}, replace(RULES, allow_unanswered={"h": ("usual",)}), {"h": HEAD}
    ).findings
    assert other.outcome == "fail"


def test_unknown_cells_and_labels_without_rows_do_not_count() -> None:
    targets, decisions = np.zeros((60, 3), int), np.zeros((60, 3), int)
    targets[:20, 0] = decisions[:20, 0] = 1
    targets[:40, 1] = -1
    targets[40:52, 1] = 1  # 12 rows, never answered
    decisions[:5, 1] = 1  # answered only where nothing is known of it
    (finding,) = judge_labels(
        {"h": scores(targets, decisions, ("a", "b", "c"))},
        RULES,
        {"h": HeadSpec(kind="multilabel", labels=("a", "b", "c"))},
    ).findings
    assert "`b` (never answered, 12 rows)" in finding.reason and "`c`" not in finding.reason
    assert (finding.figures["shared"], finding.figures["limit"]) == (1, 2)


def test_a_remark_survives_the_file_and_older_files_have_none() -> None:
    verdict = judge_labels({"h": many(0, never=7)}, RULES, {"h": HeadSpec(kind="multiclass", labels=MANY)})
    raw = verdict.to_json()
    assert verdict_from_json(raw) == verdict and verdict.remarks[0].startswith(
        "The test rows of `h` do not tell"
    )
    for finding in raw["findings"]:
        del finding["remark"]
    assert verdict_from_json(raw).remarks == ()


def test_a_floor_on_a_label_without_test_rows_decides_nothing() -> None:
    """Its F1 is unknown, not 0."""
    sound = scores(np.arange(300) % 2, np.arange(300) % 2, ("a", "b", "c"))
    head = HeadSpec(kind="multiclass", labels=("a", "b", "c"))
    rules = replace(RULES, label_floors={"h": {"c": 0.5, "a": 0.5}})
    *_, none, fine = judge_accuracy({"h": sound}, {"h": sound}, rules, {"h": head}).findings
    assert (none.subject, none.outcome) == ("h floor of c", "inconclusive")
    assert fine.outcome == "pass"
