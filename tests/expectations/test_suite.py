"""Which checks are made from the rules, the heads and the columns that are there."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from expectations.data.check import Check
from expectations.data.drift import Levels, compare
from expectations.data.rules import RULES
from expectations.data.suite import build_suite
from expectations.spec import DataRules, Rule
from model.spec import HeadSpec

HEADS = {
    "topic": HeadSpec(kind="multiclass", labels=("bill", "trip")),
    "mood": HeadSpec(kind="multilabel", labels=("glad", "<b>cross</b>")),
}
NOTHING: dict[str, tuple[str, ...]] = {}


def only(checks: tuple[Check, ...], rule: str) -> list[Check]:
    return [check for check in checks if check.rule == rule]


def test_the_table_holds_every_rule_of_the_configuration_once() -> None:
    ruled = [field.name for field in fields(DataRules) if isinstance(getattr(DataRules(), field.name), Rule)]
    assert sorted(entry.name for entry in RULES) == sorted(ruled)


def test_every_rule_makes_a_check() -> None:
    made = {check.rule for check in build_suite(DataRules(), HEADS, NOTHING)}
    assert made == {entry.name for entry in RULES}


def test_an_entry_makes_a_check_for_each_head_and_split_that_it_is_about() -> None:
    about = {"text": 1, "figure": 1, "drift": 1}
    for entry in RULES:
        heads = [head for head, spec in HEADS.items() if entry.kind in (None, spec.kind)]
        places = [(head, split) for head in heads for split in entry.splits or (None,)]
        checks = only(build_suite(DataRules(), HEADS, NOTHING), entry.name)
        assert len(checks) == about.get(entry.about, len(places))
        if entry.about == "head":
            assert [(check.head, check.split) for check in checks] == places
        assert not any("{" in check.expected or "{" in str(check.column) for check in checks)


def test_a_multilabel_cell_may_hold_any_number_of_labels() -> None:
    checks = build_suite(DataRules(), HEADS, NOTHING)
    assert [check.head for check in only(checks, "multiclass_exactly_one")] == ["topic"]


def test_coverage_is_asked_per_head_and_split() -> None:
    checks = only(build_suite(DataRules(min_rows_per_split=7), HEADS, NOTHING), "coverage")
    assert {(check.head, check.split) for check in checks} == {
        (head, split) for head in HEADS for split in ("train", "validation", "test")
    }
    assert {check.kwargs["min_value"] for check in checks} == {7}


def test_severity_and_tolerance_are_carried_over() -> None:
    rules = DataRules(one_answer=Rule(severity="info", tolerance=0.25))
    for check in only(build_suite(rules, HEADS, NOTHING), "one_answer"):
        assert (check.severity, check.tolerance, check.kwargs["mostly"]) == ("info", 0.25, 0.75)


def test_labels_never_stand_in_a_check() -> None:
    """Great Expectations writes what it is given into its pages, and labels may come from the data."""
    assert "cross" not in repr(build_suite(DataRules(), HEADS, NOTHING))


@pytest.mark.parametrize(
    ("rule", "column"),
    [
        ("near_duplicates", "near_duplicates_share"),
        ("truncation", "truncation:topic"),
        ("unknown_tokens", "unknown_tokens:topic"),
        ("source_truncation", "source_truncation"),
        ("source_unknown_tokens", "source_unknown_tokens"),
    ],
)
def test_a_missing_figure_is_skipped_and_says_why(rule: str, column: str) -> None:
    absent = only(build_suite(DataRules(), HEADS, NOTHING), rule)
    present = only(build_suite(DataRules(), HEADS, {"figures": (column,)}), rule)
    assert absent[0].skipped and present[0].skipped is None


def test_drift_without_a_champion_is_skipped_once() -> None:
    (check,) = only(build_suite(DataRules(), HEADS, NOTHING), "drift")
    assert check.skipped is not None and "nothing to compare with" in check.skipped


def test_drift_is_asked_of_what_could_be_compared() -> None:
    split = {"labelled": 5000, "counts": {"bill": 2500, "trip": 2500}}
    few = {"labelled": 3, "counts": {"bill": 3}}
    profile = {"heads": {"topic": {"kind": "multiclass", "splits": {"train": split, "test": few}}}}
    rules = DataRules(drift_psi_fail=0.3, drift_psi_warn=0.2)
    checks = only(build_suite(rules, HEADS, NOTHING, drift=compare(profile, profile, Levels())), "drift")
    asked = {check.column: check for check in checks if check.skipped is None}
    assert set(asked) == {"psi:topic:train", "js:topic:train"}
    assert asked["psi:topic:train"].kwargs["max_value"] == 0.3
    assert asked["psi:topic:train"].warn_above == 0.2
    assert [check.split for check in checks if check.skipped] == ["test"]


def test_an_expectation_of_ones_own() -> None:
    entry = {
        "type": "expect_column_values_to_match_regex",
        "kwargs": {"column": "text", "regex": "a"},
        "severity": "warning",
        "tolerance": 0.1,
    }
    (check,) = only(build_suite(DataRules(extra=(entry,)), HEADS, NOTHING), "extra[0]")
    assert (check.type, check.severity, check.problem, check.table) == (
        entry["type"],
        "warning",
        None,
        "dataset",
    )
    assert check.kwargs == {"column": "text", "regex": "a", "mostly": 0.9}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"type": None}, "`type` is missing"),
        ({"severity": "fatal"}, "'fatal', expected one of critical, warning, info"),
        ({"tolerance": 2}, "`tolerance` is 2"),
        ({"tolerance": True}, "`tolerance` is True"),
        ({"kwargs": ["column"]}, "`kwargs` is not a mapping"),
        ({"kwags": {}}, "`kwags` is not one of type, kwargs"),
        ({"table": "elsewhere"}, "`table` is 'elsewhere'"),
    ],
)
def test_a_slip_in_ones_own_expectation_is_named_and_grave(change: dict[str, Any], named: str) -> None:
    entry = {"type": "expect_column_to_exist", "kwargs": {"column": "text"}} | change
    (check,) = only(build_suite(replace(DataRules(), extra=(entry,)), HEADS, NOTHING), "extra[0]")
    assert check.problem is not None and named in check.problem and "expectations.extra[0]" in check.problem
    assert check.severity == "critical"
