"""The verdict as rows of a table, for the terminal, the report and Prefect's artifacts alike.

Does not know HTML or rich.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import assert_never

from expectations.gates.figures import CONTROL_REACH, FindingFigures, Interval, verdict_figures
from expectations.verdict import Verdict

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

FIGURES = tuple(key for key in COLUMNS if key not in TEXT_COLUMNS)

ABSENT = "–"
"""Stands for a figure that is missing or has no meaning in this row."""

Row = dict[str, str]


def verdict_rows(verdict: Verdict) -> list[Row]:
    """One row a finding, in the order of the findings; cells are text."""
    return [_row(figures) for figures in verdict_figures(verdict)]


def table_and_line(rows: Sequence[Mapping[str, str]]) -> tuple[list[Mapping[str, str]], str]:
    """The rows that a table shows, and one line on the checks that passed and have no figure; empty for none.

    What did not pass keeps its row: it is what a reader looks for.
    """
    plain = [row for row in rows if row["verdict"] == "pass" and all(row[key] == ABSENT for key in FIGURES)]
    line = f"Also passed, without a figure: {', '.join(row['subject'] for row in plain)}." if plain else ""
    return [row for row in rows if row not in plain], line


def figure_text(value: float | None, unit: str = "") -> str:
    """A figure as a person reads it: shares with three places, milliseconds with one, MiB whole."""
    if value is None:
        return ABSENT
    if not math.isfinite(value):
        return "not finite"
    if unit == "ms":
        return f"{value:,.1f} ms" if value >= 1 else f"{value:.2f} ms"
    if unit == "MiB":
        return f"{value:,.0f} MiB" if value >= 10 else f"{value:.1f} MiB"
    return f"{value:.3f}"


def _row(figures: FindingFigures) -> Row:
    unit, difference, limit = figures.unit, figures.difference, figures.limit
    row = dict.fromkeys(COLUMNS, ABSENT)
    row |= {"subject": figures.subject, "verdict": figures.outcome, "metric": figures.metric or ABSENT}
    row["shared"] = figure_text(figures.shared.value, unit)
    row["baseline"] = figure_text(figures.baseline.value, unit)
    if unit == "labels" and figures.shared.value is not None and limit is not None:
        row["shared"] = f"{figures.shared.value:.0f} of {limit:.0f}"
    match figures.comparison:
        case None:
            pass
        case "difference":
            row["difference"] = _interval(difference, "+.3f")
            row["margin"] = f"-{limit:g}"
        case "better":
            row["difference"] = _interval(difference, "+.3f")
            row["margin"] = f"> {limit:g}"
        case "not_worse":
            row["difference"] = _interval(difference, "+.3f")
            row["margin"] = f"not < {0 - (limit or 0):g}"
        case "ratio":
            row["difference"] = _interval(difference, ".2f", "×")
            row["margin"] = f"≤ {limit:g}×"
        case "control":
            row["difference"] = _interval(difference, ".2f", "×")
            # Its interval must reach the first and lie within the second.
            row["margin"] = f"1 ± {limit:g} (± {CONTROL_REACH * (limit or 0):g})"
        case "budget":
            upper = difference.upper
            row["difference"] = ABSENT if upper is None else f"at most {figure_text(upper, unit)}"
            row["margin"] = f"≤ {limit:,g} {unit}".rstrip()
        case "floor":
            row["margin"] = f"≥ {limit:g}"
        case "ceiling":
            row["margin"] = f"≤ {limit:g}"
        case _:
            assert_never(figures.comparison)
    return row


def _interval(interval: Interval, style: str, unit: str = "") -> str:
    """`-0.004 [-0.011, +0.003]`, without the bracket where there are no bounds."""
    value, lower, upper = interval.value, interval.lower, interval.upper
    if value is None or not math.isfinite(value):
        return figure_text(value)
    text = f"{value:{style}}{unit}"
    return text if lower is None or upper is None else f"{text} [{lower:{style}}, {upper:{style}}]"
