"""What clients lose needs a consent of its own, and neither a new name nor a label that goes is a gain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from expectations.contract.compare import compare_answers, told
from expectations.contract.consent import (
    FORMS,
    BadConsent,
    Change,
    consent_problems,
    consents_of,
    parse_consent,
    signed_consents,
)
from expectations.contract.findings import asks, contract_findings, unused_remarks
from expectations.gates.champion import Before, judge_champion
from expectations.gates.scores import HeadScores, load_scores
from expectations.spec import ContractRules, GateRules
from expectations.verdict import Finding
from model.spec import HeadSpec

RULES = GateRules(resamples=300)
TOPIC = HeadSpec(kind="multiclass", labels=("defect", "praise", "weather"))
MARKS = HeadSpec(kind="multilabel", labels=("cold", "drink"))
BEFORE = {"topic": TOPIC, "marks": MARKS}


# Consents


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("drop topic", Change("head gone", "topic")),
        (" drop  marks:cold ", Change("label gone", "marks", "cold")),
        ("drop marks: very cold", Change("label gone", "marks", "very cold")),
        ("drop marks:a:b", Change("label gone", "marks", "a:b")),
        ('drop marks:"a → b"', Change("label gone", "marks", "a → b")),
        ("rename topic → subject", Change("head renamed", "topic", after="subject")),
        ("rename topic:weather → climate", Change("label renamed", "topic", "weather", "climate")),
        ("rename topic:weather->climate", Change("label renamed", "topic", "weather", "climate")),
        ('rename topic:"->" -> "→"', Change("label renamed", "topic", "->", "→")),
        ("kind marks multiclass → multilabel", Change("kind", "marks", "multiclass", "multilabel")),
        ("kind marks: multiclass -> multilabel", Change("kind", "marks", "multiclass", "multilabel")),
        ("reorder topic", Change("order", "topic")),
    ],
)
def test_a_consent_is_the_change_that_it_allows(text: str, change: Change) -> None:
    assert parse_consent(text) == change
    assert parse_consent(change.line) == change


@pytest.mark.parametrize(
    "text",
    [
        "",
        "topic",
        "drop",
        "drop Topic",
        "drop topic tone",
        "drop topic:",
        "remove topic",
        "drop *",
        "rename topic",
        "rename topic:weather",
        "rename topic:a → b → c",
        "rename topic:→ b",
        "drop marks:a → b",
        'drop marks:"a',
        'drop marks:"a" b',
        "kind marks multilabel",
        "kind marks multiclass → tree",
        "kind marks multilabel → multilabel",
        "rename topic:a → a",
        "rename topic → topic",
        "reorder topic:a",
    ],
)
def test_what_is_no_consent_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(BadConsent) as refused:
        parse_consent(text)
    [problem] = consent_problems([text])
    assert problem == f"gates.contract.allow[0]: {refused.value}"
    known = all(form in problem for form in FORMS)
    assert known or "changes nothing" in problem or "double quote" in problem or "in quotes" in problem


labels = st.text(min_size=1, max_size=12).filter(str.strip)


@given(before=labels, after=labels)
def test_every_label_can_be_consented_to(before: str, after: str) -> None:
    for change in (Change("label gone", "topic", before), Change("label renamed", "topic", before, after)):
        if change.before != change.after:
            assert parse_consent(change.line) == change
            assert change.line.isprintable(), "it can be pasted from a terminal"


def test_a_record_of_before_allowed_heads_and_nothing_else() -> None:
    old = {"gates": {"allow_dropped_heads": True}}
    assert signed_consents(old, ["tone"]) == (Change("head gone", "tone"),)
    assert signed_consents({"gates": {"allow_dropped_heads": False}}, ["tone"]) == ()
    assert signed_consents({}) == ()


# What is lost and gained


def lost(now: dict[str, HeadSpec], *consents: str, **more: Any) -> list[str]:
    return [change.line for change in compare_answers(BEFORE, now, consents_of(consents), **more).lost]


def test_what_needs_consent_and_what_does_not() -> None:
    assert lost(BEFORE) == []
    assert lost({**BEFORE, "tone": TOPIC}) == []
    grown = replace(TOPIC, labels=("anger", "defect", "hail", "praise", "weather"))
    assert lost({**BEFORE, "topic": grown}) == [], "new labels in between are no other order"
    assert lost({"marks": MARKS}) == ["drop topic"]
    assert lost({**BEFORE, "topic": replace(TOPIC, labels=("praise", "weather"))}) == ["drop topic:defect"]
    turned = replace(TOPIC, labels=("weather", "praise", "defect"))
    assert lost({**BEFORE, "topic": turned}) == ["reorder topic"]
    other = replace(MARKS, kind="multiclass")
    assert lost({**BEFORE, "marks": other}) == ["kind marks multilabel → multiclass"]


def test_a_renaming_is_two_names_of_one_thing_only_by_consent() -> None:
    climate = {**BEFORE, "topic": replace(TOPIC, labels=("climate", "defect", "praise"))}
    assert lost(climate) == ["drop topic:weather"]
    assert lost(climate, "rename topic:weather → climate") == ["rename topic:weather → climate"]
    # What the data say is proposed, and counts not as consent; who drops the label has said so.
    seen = [Change("label renamed", "topic", "weather", "climate")]
    found = compare_answers(BEFORE, climate, suspected=seen)
    assert [change.line for change in found.missing] == ["rename topic:weather → climate"]
    assert list(asks(found)) == [
        "label `weather` of `topic` is called `climate`: most of its texts bear that name now; "
        "`rename topic:weather → climate` in `gates.contract.allow` consents to it"
    ]
    dropped = compare_answers(BEFORE, climate, consents_of(["drop topic:weather"]), suspected=seen)
    assert dropped.missing == () and dropped.new_labels == {"topic": ("climate",)}
    subject = {"subject": TOPIC, "marks": MARKS}
    assert lost(subject) == ["drop topic"]
    assert lost(subject, "rename topic → subject") == ["rename topic → subject"]
    both = {"subject": replace(TOPIC, labels=("climate", "defect", "praise")), "marks": MARKS}
    lines = ["rename topic → subject", "rename subject:weather → climate"]
    assert lost(both, *lines) == lines


def test_a_consent_allows_what_it_names_and_nothing_else() -> None:
    now = {"topic": replace(TOPIC, labels=("praise", "weather"))}
    contract = compare_answers(BEFORE, now, consents_of(["drop topic:weather", "drop marks"]))
    assert [change.line for change in contract.missing] == ["drop topic:defect"]
    assert [change.line for change in contract.allowed] == ["drop marks"]
    assert contract.kept_lines == ("drop topic:defect", "drop marks")
    [remark] = unused_remarks(contract)
    assert "`drop topic:weather` names nothing that happens" in remark
    outcomes = {finding.subject: finding.outcome for finding in contract_findings(contract)}
    assert outcomes == {"contract: drop topic:defect": "fail", "contract: drop marks": "pass"}


def test_what_is_asked_says_how_many_rows_had_the_label_and_what_else_it_may_be() -> None:
    profile = {
        "heads": {"topic": {"splits": {"test": {"labelled": 1000, "counts": {"weather": 240, "defect": 3}}}}}
    }
    now = {**BEFORE, "topic": replace(TOPIC, labels=("climate", "defect", "praise"))}
    [asked] = asks(compare_answers(BEFORE, now), profile)
    assert asked == (
        "label `weather` of `topic` is not answered any more (it had 240 of 1,000 test rows when the "
        "champion was trained); `drop topic:weather` in `gates.contract.allow` consents to it. If it is "
        "called `climate` now, put `rename topic:weather → climate` there instead"
    )
    [asked] = asks(compare_answers(BEFORE, {"subject": TOPIC, "marks": MARKS}))
    assert asked.endswith("If it is called `subject` now, put `rename topic → subject` there instead")


def test_clients_are_told_what_they_lose_must_follow_and_gain() -> None:
    now = {"topic": replace(TOPIC, labels=("climate", "hail", "praise")), "tone": TOPIC}
    contract = compare_answers(BEFORE, now, consents_of(["rename topic:weather → climate"]))
    assert told(contract) == [
        "clients lose: label `defect` of `topic` is not answered any more",
        "clients lose: head `marks` is not answered any more",
        "clients must follow: label `weather` of `topic` is called `climate`",
        "clients gain: head `tone` is new",
        "clients gain: label `hail` of `topic` is new",
    ]
    assert told(compare_answers(BEFORE, BEFORE)) == []


# Compared with the champion

Ints = NDArray[np.int32]


def scores_file(folder: Path, head: str, decisions: NDArray[Any], **targets: NDArray[Any]) -> Path:
    file = folder / "champion.npz"
    named = {f"targets:{name}": array for name, array in targets.items()}
    np.savez(file, allow_pickle=False, **{f"decisions:{head}": decisions, **named})  # type: ignore[arg-type]
    return file


def judged(
    file: Path, before: dict[str, HeadSpec], heads: dict[str, HeadSpec], shared: HeadScores, *allow: str
) -> dict[str, Finding]:
    """The findings of the champion's gate, by the way of the release gates."""
    rules = replace(RULES, contract=ContractRules(allow=allow))
    known = Before(heads=before)
    contract = known.contract(heads, rules)
    alike = {name: heads[name] for name in contract.same_kind(heads)}
    champion = load_scores(file, alike, contract.counterparts, called=contract.former)
    [name] = heads
    seen = np.zeros(shared.targets.shape[0], dtype=np.bool_)
    verdict = judge_champion({name: shared}, champion, rules, heads, known, seen=seen)
    return {finding.subject: finding for finding in verdict.findings}


def multiclass(labels: tuple[str, ...], targets: Ints, decisions: Ints) -> HeadScores:
    return HeadScores(kind="multiclass", labels=labels, targets=targets, decisions=decisions)


def test_a_renamed_label_is_no_gain(tmp_path: Path) -> None:
    """1,000 rows, 300 of them `weather`, which is called `climate` now; both models are right everywhere. By
    their names alone the champion would be wrong on 300."""
    targets = np.repeat([0, 1, 2], [300, 350, 350]).astype(np.int32)  # climate, defect, praise
    champions = np.repeat([2, 0, 1], [300, 350, 350]).astype(np.int32)  # defect, praise, weather
    head = HeadSpec(kind="multiclass", labels=("climate", "defect", "praise"))
    file = scores_file(tmp_path, "topic", champions, topic=targets)
    shared = multiclass(head.labels, targets, targets)
    by_consent = judged(file, {"topic": TOPIC}, {"topic": head}, shared, "rename topic:weather → climate")
    found = by_consent["topic vs champion"]
    assert (found.figures["shared"], found.figures["baseline"], found.figures["n"]) == (1.0, 1.0, 1000)
    assert found.outcome == "pass" and "`weather` is compared as `climate`" in found.reason
    assert by_consent["contract: rename topic:weather → climate"].outcome == "pass"
    without = judged(file, {"topic": TOPIC}, {"topic": head}, shared)
    assert without["contract: drop topic:weather"].outcome == "fail"
    # Not even without consent does the lost label count for the model that lost it.
    assert without["topic vs champion"].figures["difference"] == 0.0
    assert without["topic vs champion"].figures["n"] == 700


def test_rows_that_the_champion_answers_with_a_dropped_label_are_left_out_and_counted(
    tmp_path: Path,
) -> None:
    """240 rows were `defect` and are `praise` now: the champion, which says `defect`, is not wrong there."""
    targets = np.repeat([0, 1], [500, 500]).astype(np.int32)  # praise, weather
    champions = np.repeat([0, 1, 2], [240, 260, 500]).astype(np.int32)  # defect, praise, weather
    head = HeadSpec(kind="multiclass", labels=("praise", "weather"))
    file = scores_file(tmp_path, "topic", champions, topic=targets)
    decided = targets.copy()
    decided[-100:] = 0  # this model is worse where both can be compared
    shared = multiclass(head.labels, targets, decided)
    found = judged(file, {"topic": TOPIC}, {"topic": head}, shared, "drop topic:defect")["topic vs champion"]
    assert found.outcome == "fail", "with the 240 it would be better by 0.14"
    assert (found.figures["n"], found.figures["rows_of_gone_labels"]) == (760, 240)
    assert found.figures["baseline"] == 1.0
    assert "`defect` gone from it: 240 rows that the champion answers so are left out" in found.reason
    all_gone = np.zeros(1000, dtype=np.int32)
    file = scores_file(tmp_path, "topic", all_gone, topic=targets)
    none = judged(file, {"topic": TOPIC}, {"topic": head}, shared, "drop topic:defect")["topic vs champion"]
    assert none.outcome == "inconclusive" and "no labelled test row is left" in none.reason


def test_a_head_of_another_kind_is_judged_without_the_champion(tmp_path: Path) -> None:
    """Before, its kind replaced the whole verdict, of all heads, in every later run."""
    targets = np.eye(2, dtype=np.int8)[np.arange(400) % 2]
    head = HeadSpec(kind="multilabel", labels=("cold", "drink"))
    before = {"marks": replace(head, kind="multiclass")}
    file = scores_file(tmp_path, "marks", np.zeros(400, dtype=np.int32), marks=targets)
    shared = HeadScores(kind="multilabel", labels=head.labels, targets=targets, decisions=targets)
    line = "kind marks multiclass → multilabel"
    found = judged(file, before, {"marks": head}, shared, line)
    assert {one.outcome for one in found.values()} == {"pass"}
    assert "judged without the champion, which answers it as multiclass" in found["marks vs champion"].reason
    assert judged(file, before, {"marks": head}, shared)[f"contract: {line}"].outcome == "fail"


def test_a_renamed_head_is_compared_under_both_names(tmp_path: Path) -> None:
    targets = (np.arange(600) % 3).astype(np.int32)
    file = scores_file(tmp_path, "topic", targets, subject=targets)
    shared = multiclass(TOPIC.labels, targets, targets)
    found = judged(file, {"topic": TOPIC}, {"subject": TOPIC}, shared, "rename topic → subject")
    assert found["subject vs champion"].figures["baseline"] == 1.0
    assert "the champion calls it `topic`" in found["subject vs champion"].reason
    assert found["contract: rename topic → subject"].outcome == "pass"


def test_two_labels_that_become_one_are_one(tmp_path: Path) -> None:
    """`frost` is called `cold` now, as another label was already: it applies where either did."""
    before = {"marks": HeadSpec(kind="multilabel", labels=("cold", "frost", "drink"))}
    file = scores_file(
        tmp_path,
        "marks",
        np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=np.int8),
        marks=np.array([[1, 0], [1, 0], [0, 1], [1, 0]], dtype=np.int8),
    )
    contract = compare_answers(before, {"marks": MARKS}, consents_of(["rename marks:frost → cold"]))
    scores = load_scores(file, {"marks": MARKS}, contract.counterparts)["marks"]
    assert scores.decisions.tolist() == scores.targets.tolist()
    assert contract.missing == ()


NAMES = ("ant", "bee", "cow", "dog", "elk")


@settings(max_examples=40, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["multiclass", "multilabel"]), seed=st.integers(0, 2**16))
def test_under_both_names_a_renaming_changes_no_figure(
    data: st.DataObject, kind: Any, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever labels are renamed, and wherever their new names stand, the comparison is that of before."""
    names = NAMES[: data.draw(st.integers(2, 5), "labels")]
    chosen = data.draw(st.sets(st.sampled_from(names), min_size=1), "renamed")
    new = {name: f"{data.draw(st.sampled_from('az'))}{name}!" if name in chosen else name for name in names}
    place = {name: at for at, name in enumerate(sorted(new.values()))}
    moves = np.array([place[new[name]] for name in names], dtype=np.int32)
    rng, rows = np.random.default_rng(seed), 80

    def drawn() -> NDArray[Any]:
        if kind == "multiclass":
            return rng.integers(0, len(names), rows).astype(np.int32)
        return rng.integers(0, 2, (rows, len(names))).astype(np.int8)

    def moved(array: NDArray[Any]) -> NDArray[Any]:
        return moves[array] if kind == "multiclass" else array[:, np.argsort(moves)]

    targets, mine, champions = drawn(), drawn(), drawn()
    folder = tmp_path_factory.mktemp("scores")
    before = HeadSpec(kind=kind, labels=names)
    old = judged(
        scores_file(folder, "topic", champions, topic=targets),
        {"topic": before},
        {"topic": before},
        HeadScores(kind=kind, labels=names, targets=targets, decisions=mine),
    )["topic vs champion"]
    now = HeadSpec(kind=kind, labels=tuple(sorted(new.values())))
    found = judged(
        scores_file(folder, "topic", champions, topic=moved(targets)),
        {"topic": before},
        {"topic": now},
        HeadScores(kind=kind, labels=now.labels, targets=moved(targets), decisions=moved(mine)),
        *(f"rename topic:{name} → {new[name]}" for name in sorted(chosen)),
    )
    after = found["topic vs champion"]
    for figure in ("shared", "baseline", "difference", "lower", "upper", "n"):
        assert after.figures[figure] == pytest.approx(old.figures[figure], abs=1e-9), figure
    assert after.outcome == old.outcome
    assert {one.outcome for name, one in found.items() if name.startswith("contract")} == {"pass"}
