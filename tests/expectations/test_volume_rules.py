"""Rules on how many rows there are: beside the champion's, and for what the test rows have to decide."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from expectations.chances import head_chances
from expectations.data.check import CheckResult
from expectations.data.gate import DataVerdict, judge_data
from expectations.known import Known
from expectations.spec import DataRules, GateRules, Rule
from model.spec import HeadSpec
from report.quality.pages import write_quality

Heads = dict[str, HeadSpec]
Write = Callable[..., Path]


def of_rule(judged: DataVerdict, rule: str) -> Mapping[str | None, CheckResult]:
    """Head → result."""
    return {one.check.head: one for one in judged.results if one.check.rule == rule}


def times(profile: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """A profile with so many times the labelled rows in every split."""
    made: dict[str, Any] = json.loads(json.dumps(profile))
    for head in made["heads"].values():
        for figures in head["splits"].values():
            figures["labelled"] = round(figures["labelled"] * factor)
    return made


@pytest.mark.parametrize(
    ("then", "outcome", "verdict"),
    [
        (2.0, "met", "pass"),  # half is not below half
        (3.0, "tolerated", "pass"),
        (0.01, "tolerated", "pass"),
        (20.0, "not met", "fail"),
    ],
)
def test_rows_of_a_head_are_beside_those_of_the_champion(
    then: float,
    outcome: str,
    verdict: str,
    rows: list[Any],
    heads: Heads,
    write_dataset: Write,
    tmp_path: Path,
) -> None:
    dataset = write_dataset(rows, heads)
    champion = times(json.loads((dataset / "profile.json").read_text()), then)
    # Drift and others have nothing to say here.
    judged = judge_data(dataset, DataRules(), heads, tmp_path / "out", Known(champion_profile=champion))
    found = of_rule(judged, "rows_against_champion")
    assert set(found) == set(heads)
    assert {one.outcome for one in found.values()} == {outcome}
    assert judged.verdict.outcome == verdict
    one = found["topic"]
    assert "times as many as then: " in one.reason and "labelled rows of `topic` now, " in one.reason
    assert ("half an export" in one.reason) == (outcome != "met")


def test_without_a_champion_or_for_a_new_head_there_is_nothing_to_compare_with(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    dataset = write_dataset(rows, heads)
    judged = judge_data(dataset, DataRules(), heads, tmp_path / "first")
    assert {one.outcome for one in of_rule(judged, "rows_against_champion").values()} == {"not looked at"}
    assert {one.outcome for one in of_rule(judged, "test_rows_decide").values()} == {"not looked at"}
    champion = json.loads((dataset / "profile.json").read_text())
    del champion["heads"]["topic"]
    judged = judge_data(dataset, DataRules(), heads, tmp_path / "new", Known(champion_profile=champion))
    assert of_rule(judged, "rows_against_champion")["topic"].outcome == "not looked at"


def test_limits_are_those_of_the_configuration(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    dataset = write_dataset(rows, heads)
    known = Known(champion_profile=times(json.loads((dataset / "profile.json").read_text()), 20))
    rules = DataRules(min_rows_against_champion=0.01, few_rows_against_champion=0.02)
    judged = judge_data(dataset, rules, heads, tmp_path / "wide", known)
    assert {one.outcome for one in of_rule(judged, "rows_against_champion").values()} == {"met"}
    rules = DataRules(rows_against_champion=Rule(severity="warning"))
    judged = judge_data(dataset, rules, heads, tmp_path / "warned", known)
    assert judged.verdict.outcome == "pass"


def test_test_rows_that_hardly_decide_are_named_with_how_many_are_needed(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    dataset = write_dataset(rows, heads)
    profile = json.loads((dataset / "profile.json").read_text())
    few = head_chances(profile, heads, GateRules())
    assert DataRules().test_rows_decide.severity == "warning"
    rules = DataRules(test_rows_decide=Rule(severity="info"))
    judged = judge_data(dataset, rules, heads, tmp_path / "few", Known(chances=few))
    found = of_rule(judged, "test_rows_decide")
    assert {one.outcome for one in found.values()} == {"not met"} and judged.verdict.outcome == "pass"
    [topic] = [one for one in few if one.head == "topic"]
    assert topic.needed is not None and topic.needed > topic.rows
    assert f"about {topic.needed:,} test rows" in found["topic"].reason
    shown = write_quality(dataset, judged, tmp_path / "reports", name="it", known=Known(chances=few))
    assert sum("an equally good model" in one and "topic" in one for one in shown.warnings) == 1

    rules = DataRules(test_rows_decide=Rule(severity="critical"), min_chance=0.9)
    wide = head_chances(profile, heads, GateRules(margins={"topic": 0.5}))
    judged = judge_data(dataset, rules, heads, tmp_path / "wide", Known(chances=wide))
    found = of_rule(judged, "test_rows_decide")
    assert judged.verdict.outcome == "fail" and found["topic"].outcome == "met"


def test_so_many_rows_pass_with_the_power_asked_for() -> None:
    """About: the margin that they certify is the one asked for within a few hundredths of it."""
    heads = {"topic": HeadSpec(kind="multiclass", labels=("a", "b"))}

    def weighed(rows: int) -> Any:
        counts = {"a": rows // 2, "b": rows - rows // 2}
        profile = {"heads": {"topic": {"splits": {"test": {"labelled": rows, "counts": counts}}}}}
        return head_chances(profile, heads, GateRules(margin=0.02))[0]

    needed = weighed(300).needed
    assert needed is not None and 1500 < needed < 3000
    assert weighed(needed).power_margin == pytest.approx(0.02, rel=0.06)
    assert weighed(10 * needed).needed is None
