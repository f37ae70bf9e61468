"""The verdict as rows of a table, for the terminal, the report and Prefect's artifacts alike.

Knows the names of figures; does not know HTML or rich.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import assert_never, cast

from expectations.verdict import Comparison, Finding, Verdict

COLUMNS: Mapping[str, str] = {
    "subject": "Head or subject",
    "metric": "Metric",
    "shared": "Shared",
    "baseline": "Baseline",
    "difference": "Difference [lower, upper]",
    "margin": "Margin",
    "verdict": "Verdict",
}
"""Key of a row → heading of its column."""

TEXT_COLUMNS = ("subject", "metric", "verdict")
"""Columns that hold text; the others hold figures, aligned right."""

ABSENT = "–"
"""Stands for a figure that is missing or has no meaning in this row."""

Row = dict[str, str]


def verdict_rows(verdict: Verdict) -> list[Row]:
    """One row a finding, in the order of the findings; cells are text."""
    return [_row(finding) for finding in verdict.findings]


def figure_text(value: float | int | str | None, unit: str = "") -> str:
    """A figure as a person reads it: shares with three places, milliseconds with one, MiB whole."""
    if value is None:
        return ABSENT
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return "not finite"
    if unit == "ms":
        return f"{value:,.1f} ms" if value >= 1 else f"{value:.2f} ms"
    if unit == "MiB":
        return f"{value:,.0f} MiB" if value >= 10 else f"{value:.1f} MiB"
    return f"{value:.3f}"


def _row(finding: Finding) -> Row:
    figures = finding.figures
    kind, unit = cast("Comparison | None", figures.get("compare")), str(figures.get("unit") or "")
    row = dict.fromkeys(COLUMNS, ABSENT)
    row |= {"subject": finding.subject, "verdict": finding.outcome}
    row["metric"] = str(figures.get("metric") or ABSENT)
    row["shared"] = figure_text(figures.get("shared"), unit)
    row["baseline"] = figure_text(figures.get("baseline"), unit)
    match kind:
        case None:
            pass
        case "difference":
            row["difference"] = _interval(figures, "+.3f")
            row["margin"] = f"-{figures['margin']:g}"
        case "ratio":
            row["difference"] = _interval(figures, ".2f", "×")
            row["margin"] = f"≤ {figures['limit']:g}×"
        case "control":
            row["difference"] = _interval(figures, ".2f", "×")
            row["margin"] = f"1 ± {figures['tolerance']:g}"
        case "budget":
            upper = figures.get("upper")
            row["difference"] = ABSENT if upper is None else f"at most {figure_text(upper, unit)}"
            row["margin"] = f"≤ {figures['limit']:,g} {unit}".rstrip()
        case "floor":
            row["margin"] = f"≥ {figures['limit']:g}"
        case "ceiling":
            row["margin"] = f"≤ {figures['limit']:g}"
        case _:
            assert_never(kind)
    return row


def _interval(figures: Mapping[str, float | int | str | None], style: str, unit: str = "") -> str:
    """`-0.004 [-0.011, +0.003]`, without the bracket where there are no bounds."""
    value, lower, upper = (figures.get(name) for name in ("difference", "lower", "upper"))
    if not isinstance(value, int | float) or not math.isfinite(value):
        return figure_text(value)
    text = f"{value:{style}}{unit}"
    if isinstance(lower, int | float) and isinstance(upper, int | float):
        text += f" [{lower:{style}}, {upper:{style}}]"
    return text
