"""Figures, goals and tables: what every benchmark and campaign reports."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.machine import describe_machine, one_line, usable_cores
from tests.support.measures import (
    WIDTH,
    Measure,
    aligned,
    all_met,
    at_least,
    at_most,
    mean_with_interval,
    measure_table,
    shown,
    undecided,
)

CELLS = st.text(st.characters(categories=("L", "N", "P")), max_size=90)


def test_the_table_is_aligned_and_names_what_was_not_met() -> None:
    text = measure_table(
        [Measure("rows per s", 99.0, "rows/s", at_least(100)), Measure("t", 1.0, "s", at_most(2))]
    )
    header, rule, first, second = text.splitlines()
    assert header.split() == ["measure", "value", "unit", "goal", "met"]
    assert set(rule) == {"-", " "}
    assert first.split() == ["rows", "per", "s", "99.00", "rows/s", "≥", "100", "NO"]
    assert second.endswith("yes")
    assert first.index("rows/s") == second.index("s", 2) == header.index("unit")


@given(st.lists(st.lists(CELLS, min_size=9, max_size=9), min_size=1, max_size=4))
def test_no_table_is_wider_than_a_terminal_and_none_loses_a_character(rows: list[list[str]]) -> None:
    text = aligned(rows, right=(1, 3))
    assert all(len(line) <= WIDTH for line in text.splitlines())
    printed = sorted(c for c in text if not c.isspace() and c != "-")
    assert printed == sorted(c for row in rows for cell in row for c in cell if c != "-")


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("goal", [at_most(1), at_least(1)])
def test_a_missing_or_infinite_figure_never_meets_a_goal(value: float | None, goal: object) -> None:
    measure = Measure("time", value, "s", goal)  # type: ignore[arg-type]
    assert measure.met is False and all_met([measure]) is False
    assert measure.to_json()["value"] is None


def test_a_missing_figure_without_a_goal_is_a_failure_too_unless_there_is_a_reason() -> None:
    assert all_met([Measure("memory", None, "MiB")]) is False
    assert all_met([Measure("memory", None, "MiB", undecided="no GPU here")]) is None


def test_nothing_measured_is_a_failure_and_no_goal_decides_nothing() -> None:
    assert all_met([]) is False
    assert all_met([Measure("t", 1.0)]) is None
    assert all_met([Measure("t", 1.0), Measure("u", 1.0, "s", at_most(2))]) is True
    assert all_met([Measure("t", 1.0, "", at_most(0)), Measure("u", 1.0, "s", at_most(2))]) is False


def test_an_undecided_goal_keeps_its_value_and_names_its_reason() -> None:
    missed, other = Measure("a", 0.1, "", at_least(1)), Measure("b", 0.1, "", at_least(1))
    plain = Measure("c", 0.1)
    first, second, third = undecided([missed, other, plain], "few rows", but=("b",))
    assert first.to_json() == {
        "name": "a", "value": 0.1, "unit": "", "goal": "≥ 1", "met": None, "reason": "few rows",
    }  # fmt: skip
    assert (second.met, third) == (False, plain)
    assert measure_table([first]).splitlines()[-1] == "undecided: few rows"


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(-1e6, 1e6))
def test_a_goal_and_its_opposite_are_both_met_only_by_equality(value: float, goal: float) -> None:
    below, above = at_most(goal).met_by(value), at_least(goal).met_by(value)
    assert below or above
    assert (below and above) == (value == goal)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (0.012346, "0.01235"),
        (1.5, "1.500"),
        (12.346, "12.35"),
        (999.0, "999.0"),
        (123456.7, "123,457"),
    ],
)
def test_figures_are_shown_with_about_four_digits(value: float, expected: str) -> None:
    assert shown(value) == expected


def test_the_interval_of_a_mean_by_hand() -> None:
    # mean 0.02, standard error 0.01, Student's t with one degree of freedom 12.71
    assert mean_with_interval([0.01, 0.03]) == "+0.0200 ± 0.1271"
    assert mean_with_interval([0.01, 0.01, 0.01]) == "+0.0100 ± 0.0000"
    assert mean_with_interval([0.5]) == "+0.5000"


def test_the_machine_is_described_in_plain_json() -> None:
    machine = describe_machine()
    assert json.loads(json.dumps(machine)) == machine
    assert machine["cores"] == usable_cores() >= 1
    assert machine["memory_gib"] > 0
    assert machine["packages"]["pandas"]
    assert f"{machine['cores']} cores" in one_line(machine)
