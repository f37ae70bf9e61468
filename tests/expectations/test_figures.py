"""The typed record of a finding's figures is what table, chart and page are made of."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from expectations.gates.figures import COMPARISONS, figures_of
from expectations.verdict import Comparison, Finding, Verdict
from report.verdict_table import ABSENT, verdict_rows

FIGURES = {
    "compare": "difference",
    "metric": "macro_f1",
    "shared": 0.8,
    "shared_lower": 0.78,
    "shared_upper": 0.82,
    "baseline": 0.81,
    "difference": -0.01,
    "lower": -0.02,
    "upper": 0.0,
    "margin": 0.03,
    "n": 400,
    "confidence": 0.95,
}


def finding(**figures: float | int | str | None) -> Finding:
    return Finding(subject="emotion", outcome="pass", reason="because", figures=figures)


def test_each_figure_gets_its_type() -> None:
    found = figures_of(finding(**FIGURES))
    assert (found.comparison, found.metric, found.unit) == ("difference", "macro_f1", "")
    assert found.shared.whole == (0.8, 0.78, 0.82) and found.difference.whole == (-0.01, -0.02, 0.0)
    assert found.baseline.value == 0.81 and found.baseline.whole is None, "its bounds are missing"
    assert (found.limit, found.rows, found.confidence) == (0.03, 400, 0.95)
    numbers = found.numbers()
    assert numbers == {
        **{name: FIGURES[name] for name in FIGURES if isinstance(FIGURES[name], float) and name != "margin"},
        "limit": 0.03,
        "rows": 400.0,
    }


def test_what_is_missing_or_of_another_type_is_none() -> None:
    odd: dict[str, float | int | str | None] = {"compare": "guess", "shared": "high", "difference": math.inf}
    found = figures_of(Finding(subject="emotion", outcome="fail", reason="because", figures=odd))
    assert found.comparison is None and found.shared.value is None and found.limit is None
    assert found.difference.whole is None and found.rows is None


@pytest.mark.parametrize("comparison", get_args(Comparison))
def test_every_comparison_has_a_row(comparison: Comparison) -> None:
    assert comparison in COMPARISONS
    limit = {"difference": "margin", "control": "tolerance"}.get(comparison, "limit")
    figures = {name: value for name, value in FIGURES.items() if name != "margin"}
    made = finding(**{**figures, "compare": comparison, limit: 0.5})
    [row] = verdict_rows(Verdict(gate="release", findings=(made,)))
    assert row["margin"].lstrip("-≤≥>not<1± ").startswith("0.5"), row
    assert (row["difference"] == ABSENT) == (comparison in ("floor", "ceiling"))
