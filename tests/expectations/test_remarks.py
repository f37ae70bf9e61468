"""Every remark stands by itself: what was seen with its figure, why it matters, and the setting by its full
path, last; no rule's name in front, and no riddle."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from expectations.chances import HeadChance
from expectations.data.check import Check, CheckResult, RuleOutcome
from expectations.data.custom_checks import custom_check
from expectations.data.drift import Drift, Levels
from expectations.data.reasons import SAYS, explained
from expectations.data.rules import RULES, UNITS, RuleEntry
from expectations.data.suite import build_suite
from expectations.data.tables import Tables
from expectations.data.texts import Kinds
from expectations.gates.accuracy import judge_accuracy
from expectations.gates.champion import judge_champion
from expectations.gates.http import HttpTimings, judge_http
from expectations.gates.latency import judge_latency
from expectations.gates.scores import HeadScores
from expectations.gates.selftest import run_selftest, synthetic_evidence
from expectations.gates.usefulness.labels import judge_labels
from expectations.gates.usefulness.references import judge_references
from expectations.spec import DataRules, GateRules
from expectations.verdict import Verdict, said
from model.spec import HeadSpec
from sources.labels.advice import Seen, sentence
from sources.labels.doubts import DOUBTS
from sources.spec import TargetSpec

HEADS = {
    "topic": HeadSpec(kind="multiclass", labels=("bill", "trip", "other")),
    "marks": HeadSpec(kind="multilabel", labels=("cold", "pet")),
}
RULES_OF_DATA = DataRules(languages=("en",))
PATH = r"`(?:expectations|heads|sources|gates|train|split|backbone|deploy)[.:][^`]*`"
COMMAND = r"`headgate [a-z]+`"
MOST_CHARS = 240
"""Longest remark, beside a line that is ready to paste."""


def flaws(remark: str) -> list[str]:
    """What is wrong with a remark."""
    found = []
    alone = re.sub(r"`sources\.[^`]*`", "``", remark)
    if not re.match(r"[A-Z0-9`'‘]", remark):
        found.append("begins with a small letter")
    if len(alone) > MOST_CHARS:
        found.append(f"{len(alone)} characters")
    if not re.search(r"\d", remark):
        found.append("no figure")
    if re.search(r"break it|not met:|critical,|warning,", remark):
        found.append("a riddle")
    if re.match(rf"`?({'|'.join(entry.name for entry in RULES)})\b", remark):
        found.append("a rule's name in front")
    places = [match.end() for match in re.finditer(rf"{PATH}|{COMMAND}", remark)]
    if not places:
        found.append("no setting")
    elif len(remark) - places[-1] > 75:
        found.append("goes on for long after the setting")
    return found


def _columns() -> dict[str, set[str]]:
    names: dict[str, set[str]] = {"observations": set(), "labels": set(), "figures": set()}
    for entry in RULES:
        for head in HEADS:
            for split in entry.splits or ("train",):
                names[entry.table].add(entry.column.format(head=head, split=split))
    return names


def _checks() -> Iterator[Check]:
    known: dict[str, Any] = {"state": "compared", "rows": 900, "rows_then": 900}
    moved: dict[str, Any] = {**known, "psi": 0.3, "js": 0.06, "noise_psi": 0.01}
    words = {"unseen": 0.3, "unseen_then": 0.1, "noise_unseen": 0.01}
    drift = [
        Drift(subject="topic", head="topic", split="train", **moved),
        Drift(subject="text length", head=None, split="test", **moved),
        Drift(subject="vocabulary", head=None, split="train", **known, **words),
    ]
    yield from build_suite(RULES_OF_DATA, HEADS, _columns(), drift=drift)
    yield custom_check(
        "extra[0]", {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "text"}}
    )
    yield replace(custom_check("extra[1]", {"type": "expect_few"}), unit="answer", expected="Few rows")
    yield Check(
        rule="rows_of_a_kind", expected="at most 3 rows of a kind", severity="warning", tolerance=0.1,
        table="figures", type="", kwargs={"column": "psi:topic:train", "max_value": 3.0}, unit="value",
    )  # fmt: skip


def _tables(check: Check) -> Tables:
    head, split = check.head or "topic", check.split or "train"
    rows = {f"train_rows:{name}": [0, 3, 900] for name in HEADS}
    labels = pd.DataFrame({"label": ["a quite long label of a customer", "bill", "trip"], **rows})
    note = " (`bill` on 880 rows, `trip` on 2)"
    kinds = Kinds(names=("tag", "entity"), at=np.array([1, 2, 1], dtype=np.int16))
    return Tables(
        frames={"labels": labels},
        figures={str(check.column): 0.42, f"labelled:{head}:train": 900},
        kinds={"text_markup": kinds, "text_damaged": kinds, "language_unexpected": kinds},
        notes={
            f"commonest:{head}:{split}": f"Label `bill` of `{head}` is on 97%",
            **({str(check.column): note} if check.table == "figures" else {}),
        },
    )


@pytest.mark.parametrize("outcome", ["not met", "met", "could not be evaluated"])
@pytest.mark.parametrize(
    "check", list(_checks()), ids=lambda check: f"{check.rule}-{check.head}-{check.split}"
)
def test_the_remark_of_every_rule(check: Check, outcome: RuleOutcome) -> None:
    counted = check.unit in ("rows", "labels", "texts")
    lost = outcome == "could not be evaluated"
    given = CheckResult(
        check=replace(check, warn_above=0.0 if not counted else None),
        outcome=outcome,
        reason="there is no column 'txt' (did you mean `text`?)" if lost and check.called else "",
        count=3 if counted else None,
        elements=900 if counted else None,
        rows=np.array([0, 1, 2], dtype=np.int64) if check.table == "labels" else None,
    )
    places = [("letters.csv", line, "2 labels") for line in (42, 1057, 20_341)]
    found = explained(given, _tables(check), {(check.rule, check.head): places})
    if outcome == "met" and check.unit == "answer":
        assert found.outcome == "met"
        return
    assert found.outcome == ("tolerated" if outcome == "met" else outcome)
    assert flaws(found.reason) == [], found.reason


def test_every_rule_has_words_of_its_own_or_of_its_merge() -> None:
    assert {entry.name for entry in RULES} - set(SAYS) <= set(DOUBTS), "SAYS lacks a rule"


def test_a_rule_without_words_says_what_it_expects() -> None:
    entry = RuleEntry("new_rule", "figure", "at most 3", "new", lambda rules: ("", {}), table="figures")
    check = Check(
        rule=entry.name, expected=entry.expected, severity="warning", tolerance=0.1, table="figures", type="",
        kwargs={"column": "new", "max_value": 3.0}, unit=UNITS["figures"], advice="ask fewer",
    )  # fmt: skip
    found = explained(CheckResult(check=check, outcome="not met"), _tables(check), {})
    assert found.reason == (
        "0.42 was seen (`bill` on 880 rows, `trip` on 2), not as expected: at most 3; ask fewer, or raise "
        "`expectations.new_rule.tolerance` (now 0.1)"
    )


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("rule", DOUBTS)
def test_the_remark_of_every_doubt_about_labels(rule: str, several: bool) -> None:
    seen = Seen(
        head="topic",
        rows=1234,
        labels=["food#animal", "weather#food", "animal#weather", "x"],
        why=dict.fromkeys(["food#animal", "weather#food", "animal#weather", "x"], "#"),
        places=[("letters.csv", line) for line in (42, 1057, 20_341)],
        source="letters",
        target=TargetSpec(column="topic"),
        several=several,
    )
    assert flaws(sentence(rule, seen)) == [], sentence(rule, seen)


def _verdicts() -> Iterator[tuple[str, Verdict]]:
    rules = GateRules(resamples=200)
    evidence = synthetic_evidence(rows=400)
    for case in run_selftest(synthetic_evidence(rows=1500), rules):
        yield case.name, case.verdict
    heads, scores, timings = evidence.heads, evidence.scores, evidence.timings
    narrow = replace(rules, margin=0.001, champion_margin=0.001, floors={"topic": 0.99, "emotion": 0.99})
    narrow = replace(narrow, label_floors={"topic": {"a": 0.99, "nobody": 0.5}})
    worse = {name: _worse(one) for name, one in scores.items()}
    yield "few rows", judge_accuracy(worse, scores, narrow, heads)
    yield "seeds", judge_accuracy(worse, scores, narrow, heads, {name: [scores[name]] for name in heads})
    yield "champion", judge_champion(worse, scores, narrow, heads, seen=np.zeros(400, dtype=np.bool_))
    constant = {name: replace(one, decisions=np.zeros_like(one.decisions)) for name, one in scores.items()}
    yield "labels", judge_labels(constant, rules, heads)
    allowed = replace(rules, allow_unanswered={"topic": ("b", "c")})
    yield "allowed", judge_labels(constant, allowed, heads)
    both = {name: {"majority": constant[name], "bag_of_words": scores[name]} for name in heads}
    yield from (("references", one) for one in judge_references(constant, both, rules, heads))
    yield from (("references", one) for one in judge_references(worse, both, rules, heads))
    yield (
        "latency",
        judge_latency(timings, replace(rules, latency_requests=20, budget_p95_ms=0.1), list(heads)),
    )
    yield (
        "budget",
        judge_latency(timings, replace(rules, budget_p95_ms=5.8, max_latency_ratio=0.5), list(heads)),
    )
    for name, change in HTTP.items():
        late = np.full(200, 90.0) if name == "late" else np.zeros(200)
        fields: dict[str, Any] = {
            **{"rate_per_s": 25.0, "late_ms": late, "latency_ms": np.linspace(1, 100, 200)},
            **{"status": np.full(200, 200), "threads": 2, "peak_rss_mb": 4000.0, "cores": 2},
            **change,
        }
        http = HttpTimings(**fields)
        yield name, judge_http(http, replace(rules, budget_p95_ms=50.0 if "over" in name else 95.0), "b")


HTTP: Mapping[str, Mapping[str, Any]] = {
    "over": {},
    "over, busy": {"busy_cores": 1.5},
    "near": {},
    "late": {},
    "refused": {"status": np.array([200] * 150 + [503] * 50)},
    "refused, busy": {"status": np.array([200] * 150 + [503] * 50), "busy_cores": 1.5},
    "other rate": {"rate_per_s": 20.0},
    "other bytes": {"bundle_sha256": "c"},
    "none": {"late_ms": np.zeros(0), "latency_ms": np.zeros(0), "status": np.zeros(0, dtype=np.int64)},
}


def _worse(one: HeadScores) -> HeadScores:
    """A tenth of the answers turned."""
    decisions = one.decisions.copy()
    decisions[::10] = 1 - decisions[::10] if one.kind == "multilabel" else 0
    return replace(one, decisions=decisions)


def test_the_remark_of_every_finding_of_the_gates() -> None:
    wrong, seen = [], set()
    for name, verdict in _verdicts():
        for finding in verdict.findings:
            spoken = [finding.reason] if finding.outcome != "pass" else []
            for remark in (*spoken, *([finding.remark] if finding.remark else [])):
                seen.add(finding.subject)
                if found := flaws(said(remark)):
                    wrong.append(f"{name}, {finding.subject}: {found} {remark}")
    assert len(seen) > 15
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("passes", [0.3, None])
def test_the_remark_of_a_small_chance(passes: float | None) -> None:
    chance = HeadChance(
        head="topic", metric="macro_f1", rows=400, margin=0.015, passes=passes, power=0.8,
        power_margin=0.04 if passes else None, disagreeing=0.1, from_champion=True, fewest=("defect", 3),
    )  # fmt: skip
    assert flaws(chance.warning) == [], chance.warning


def test_levels_of_drift_are_named_by_their_setting() -> None:
    assert Levels().psi_fail == DataRules().drift_psi_fail  # what the sentence names is what is judged
