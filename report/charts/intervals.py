"""Intervals of the heads: both models' metric, and beside it the difference against its margin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from markupsafe import Markup
from matplotlib.axes import Axes

from expectations.gates.figures import FindingFigures, Interval
from expectations.verdict import Outcome
from report.charts.chart import BASELINE, BESIDE, SHARED, Chart, chart, colour, marks

LEFT, PANEL, GAP, RIGHT, STEP = 190, 400, 60, 30, 46

OTHER = "baseline, champion or reference"
"""What the shared model is compared with."""


def has_intervals(figures: FindingFigures) -> bool:
    """Whether two models are compared by a difference, and no figure of it is missing."""
    whole = all(one.whole is not None for one in (figures.shared, figures.baseline, figures.difference))
    return whole and figures.limit is not None


def interval_chart(findings: Sequence[FindingFigures]) -> Markup:
    """One line a finding, which `has_intervals`: metrics on the left, the difference on the right."""
    dashes: dict[str, Any] = {"color": colour("bad"), "linestyle": (0, (2, 2)), "linewidth": 1.5}
    width, height = LEFT + 2 * PANEL + GAP + RIGHT, STEP * len(findings) + 64
    with chart("Metrics and differences of the heads", width, height) as drawn:
        metrics = drawn.axes(LEFT, 24, PANEL + GAP + RIGHT, 40)
        differences = drawn.axes(LEFT + PANEL + GAP, 24, RIGHT, 40)
        for at, finding in enumerate(findings):
            name, margin = finding.subject, finding.limit or 0.0
            about = f"{finding.metric}, {finding.rows or 0:,} rows"
            where: dict[str, Any] = {"most": 26, "xycoords": BESIDE, "ha": "right"}
            drawn.write(metrics, name, (0, at), (-14, 7), role="ink", weight="bold", **where)
            drawn.write(metrics, about, (0, at), (-14, -8), **where)
            _whisker(drawn, metrics, finding, "shared", finding.shared, at - 0.16)
            _whisker(drawn, metrics, finding, OTHER, finding.baseline, at + 0.18)
            _whisker(drawn, differences, finding, "difference", finding.difference, at)
            differences.plot([-margin, -margin], [at - 0.38, at + 0.38], **dashes)
        for name, role in (("shared", SHARED), (OTHER, BASELINE)):
            metrics.plot([], [], "o", color=colour(role), markerfacecolor=_face(role), label=name)
        differences.plot([], [], **dashes, label="margin")
        differences.axvline(0, color=colour("axis"), linewidth=1.4, zorder=1)
        for axes, label, style in (
            (metrics, "metric on the test rows, from 0 to 1", "{:.2f}"),
            (differences, f"shared minus {OTHER}", "{:+.3f}"),
        ):
            axes.set(ylim=(len(findings) - 0.5, -0.5), yticks=[], xlabel=label)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
            axes.grid(axis="x")
            marks(axes.xaxis, style.format)
        return drawn.html()


def _whisker(
    drawn: Chart, axes: Axes, finding: FindingFigures, name: str, interval: Interval, y: float
) -> None:
    value, lower, upper = interval.whole or (0.0, 0.0, 0.0)
    role = {"shared": SHARED, OTHER: BASELINE}.get(name) or outcome_role(finding.outcome)
    axes.plot([lower, upper], [y, y], "|-", color=colour(role), markersize=8)
    (dot,) = axes.plot(value, y, "o", color=colour(role), markersize=8, markerfacecolor=_face(role))
    sign = "+" if name == "difference" else ""
    bounds = f"{value:{sign}.4f} [{lower:{sign}.4f}, {upper:{sign}.4f}]"
    drawn.hint(dot, f"{finding.subject}, {name}: {bounds}, {finding.outcome}")


def _face(role: str) -> str:
    """Filling of a dot: what the shared model is compared with is hollow, so that both differ in grey."""
    return colour("paper" if role == BASELINE else role)


def outcome_role(outcome: Outcome) -> str:
    """Role of the colour of an outcome."""
    match outcome:
        case "pass":
            return "good"
        case "fail":
            return "bad"
        case "inconclusive":
            return "caution"
        case _:
            assert_never(outcome)
