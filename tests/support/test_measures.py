"""The one form in which benchmarks report: figures, goals, exit status and the last line."""

from __future__ import annotations

import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.machine import describe_machine, one_line, usable_cores
from tests.support.result import Measure, at_least, at_most, exit_status, report, shown, table

MACHINE = {"cpu": "a processor", "cores": 2, "memory_gib": 8.0, "flags": ["avx2"], "gpu": None}


def printed(measures: list[Measure]) -> tuple[int, list[str]]:
    """Exit status and lines of a report."""
    out = io.StringIO()
    status = report("speed", measures, MACHINE, out=out)
    return status, out.getvalue().splitlines()


def test_the_last_line_is_one_json_object_with_every_figure() -> None:
    measures = [Measure("time", 12.5, "s", at_most(60)), Measure("ratio", 0.25, "×")]
    status, lines = printed(measures)
    assert status == 0
    assert json.loads(lines[-1]) == {
        "benchmark": "speed",
        "measures": [
            {"name": "time", "value": 12.5, "unit": "s", "goal": "≤ 60", "met": True},
            {"name": "ratio", "value": 0.25, "unit": "×", "goal": None, "met": None},
        ],
        "machine": MACHINE,
    }
    assert lines[-2] == "machine: a processor (avx2), 2 cores, 8.0 GiB"


def test_the_table_is_aligned_and_names_what_was_not_met() -> None:
    text = table([Measure("rows per s", 99.0, "rows/s", at_least(100)), Measure("t", 1.0, "s", at_most(2))])
    header, rule, first, second = text.splitlines()
    assert header.split() == ["measure", "value", "unit", "goal", "met"]
    assert set(rule) == {"-", " "}
    assert first.split() == ["rows", "per", "s", "99.00", "rows/s", "≥", "100", "NO"]
    assert second.endswith("yes")
    assert first.index("rows/s") == second.index("s", 2) == header.index("unit")


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("goal", [at_most(1), at_least(1)])
def test_a_missing_or_infinite_figure_never_meets_a_goal(value: float | None, goal: object) -> None:
    measure = Measure("time", value, "s", goal)  # type: ignore[arg-type]
    assert measure.met is False
    status, lines = printed([measure])
    assert status == 1
    assert json.loads(lines[-1])["measures"][0]["value"] is None


def test_a_missing_figure_without_a_goal_is_a_failure_too() -> None:
    assert exit_status([Measure("memory", None, "MiB")]) == 1


def test_a_benchmark_without_figures_has_failed() -> None:
    assert printed([])[0] == 1


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


def test_the_machine_is_described_in_plain_json() -> None:
    machine = describe_machine()
    assert json.loads(json.dumps(machine)) == machine
    assert machine["cores"] == usable_cores() >= 1
    assert machine["memory_gib"] > 0
    assert machine["packages"]["pandas"]
    assert f"{machine['cores']} cores" in one_line(machine)
