"""Lines over a common axis: training curves, and medians over blocks or lengths of text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from report.charts.chart import chart, marks, short

MOST_LETTERS = 40

Points = Sequence[tuple[float, float]]


def line_chart(title: str, series: Mapping[str, Points], *, x: str, y: str, dots: bool = False) -> Markup:
    """One line a series; points that are not finite are left out.

    Args:
        series: name → points, x rising.
        x: what the horizontal axis measures.
        y: what the vertical axis measures.
        dots: mark each point, for a few points that are not joined by anything measured.
    """
    kept = {name: [point for point in points if math.isfinite(point[1])] for name, points in series.items()}
    if not any(kept.values()):
        return Markup('<p class="empty">{}: nothing was recorded.</p>').format(title)
    with chart(title, 540, 230) as drawn:
        axes = drawn.axes(64, 24, 12, 36)
        axes.grid(axis="y")
        for name, points in kept.items():
            (line,) = axes.plot(
                [at for at, _ in points], [value for _, value in points], label=short(name, MOST_LETTERS)
            )
            for at, value in points if dots else ():
                (dot,) = axes.plot([at], [value], "o", color=line.get_color())
                drawn.hint(dot, f"{name}: {value:.4g} at {at:g}")
        whole = all(float(at).is_integer() for points in kept.values() for at, _ in points)
        marks(axes.xaxis, "{:,.6g}".format, most=8, whole=whole)  # no half epochs or half blocks
        marks(axes.yaxis, "{:,.6g}".format)
        axes.set(xlabel=short(x, MOST_LETTERS), ylabel=short(y, MOST_LETTERS))
        drawn.legend(axes)
        return drawn.html()
