"""Intervals of the heads: both models' metric, and beside it the difference against its margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from expectations.verdict import Outcome
from report.charts.chart import BASELINE, SHARED, Chart, chart, colour, short

LEFT, PANEL, GAP, STEP = 190, 400, 60, 46
MOST_LETTERS = 26

Interval = tuple[float, float, float]
"""A figure, its lower and its upper bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One head: two figures and their difference."""

    name: str
    metric: str
    shared: Interval
    other: Interval
    difference: Interval
    margin: float
    """The whole interval of the difference should lie above -margin."""
    outcome: Outcome


def interval_chart(rows: Sequence[Row]) -> Markup:
    """One line a head: the metric of both models on the left, their difference on the right."""
    width = LEFT + 2 * PANEL + GAP + 30
    with chart("Metrics and differences of the heads", width, STEP * len(rows) + 64) as drawn:
        dashes: Mapping[str, Any] = {"color": colour("bad"), "linestyle": (0, (2, 2)), "linewidth": 1.5}
        metrics = drawn.axes(LEFT, 24, PANEL + GAP + 30, 40)
        differences = drawn.axes(LEFT + PANEL + GAP, 24, 30, 40)
        for at, row in enumerate(rows):
            _name(drawn, metrics, row, at)
            for name, interval, y, role in (
                ("shared", row.shared, at - 0.16, SHARED),
                ("baseline or champion", row.other, at + 0.18, BASELINE),
            ):
                _whisker(
                    drawn, metrics, interval, y, role, f"{row.name}, {name}: {_written(interval, '.3f')}"
                )
            differences.plot([-row.margin] * 2, [at - 0.38, at + 0.38], **dashes)
            hint = f"{row.name}: {row.outcome}, {_written(row.difference, '+.4f')}"
            _whisker(drawn, differences, row.difference, at, _role(row.outcome), hint)
        for name, role in (("shared", SHARED), ("baseline or champion", BASELINE)):
            metrics.plot([], [], "o", color=colour(role), markerfacecolor=_face(role), label=name)
        differences.plot([], [], **dashes, label="margin")
        differences.axvline(0, color=colour("axis"), linewidth=1.4, zorder=1)
        _finish(metrics, len(rows), "metric on the test rows, from 0 to 1", ".2f")
        _finish(differences, len(rows), "shared minus baseline or champion", "+.3f")
        return drawn.html()


def _name(drawn: Chart, axes: Axes, row: Row, at: int) -> None:
    beside: Mapping[str, Any] = {
        "xycoords": ("axes fraction", "data"),
        "textcoords": "offset points",
        "ha": "right",
    }
    label = axes.annotate(
        short(row.name, MOST_LETTERS), (0, at), (-14, 2), va="bottom", weight="bold", **beside
    )
    if label.get_text() != row.name:
        drawn.hint(label, row.name)
    axes.annotate(
        short(row.metric, MOST_LETTERS),
        (0, at),
        (-14, -2),
        va="top",
        fontsize=10.5,
        color=colour("soft"),
        **beside,
    )


def _whisker(drawn: Chart, axes: Axes, interval: Interval, y: float, role: str, hint: str) -> None:
    value, lower, upper = interval
    axes.plot([lower, upper], [y, y], "|-", color=colour(role), markersize=8)
    (dot,) = axes.plot(value, y, "o", color=colour(role), markersize=8, markerfacecolor=_face(role))
    drawn.hint(dot, hint)


def _face(role: str) -> str:
    """Filling of a dot: what the shared model is compared with is hollow, so that both differ in grey."""
    return colour("paper" if role == BASELINE else role)


def _role(outcome: Outcome) -> str:
    match outcome:
        case "pass":
            return "good"
        case "fail":
            return "bad"
        case "inconclusive":
            return "caution"
        case _:
            assert_never(outcome)


def _written(interval: Interval, style: str) -> str:
    value, lower, upper = interval
    return f"{value:{style}} [{lower:{style}}, {upper:{style}}]"


def _finish(axes: Axes, rows: int, label: str, style: str) -> None:
    axes.set(ylim=(rows - 0.5, -0.5), yticks=[], xlabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:{style}}"))
    axes.grid(axis="x")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
