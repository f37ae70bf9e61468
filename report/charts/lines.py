"""Lines over a common axis: training curves, and medians over blocks or lengths of text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, MaxNLocator

from report.charts.chart import chart, short

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
        axes.xaxis.set_major_locator(
            MaxNLocator(8, integer=whole, steps=[1, 2, 5, 10])
        )  # no half epochs or half blocks
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axes.set(xlabel=short(x, MOST_LETTERS), ylabel=short(y, MOST_LETTERS))
        drawn.legend(axes)
        return drawn.html()
