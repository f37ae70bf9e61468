"""Two heads' metrics against each other: what one gains, the other loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from report.charts.chart import SHARED, chart, colour, short

MOST_LETTERS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeOffPoint:
    """One training: where it lies and how it is marked."""

    x: float
    y: float
    share: float
    """Share of the horizontal head in the sum of losses, written beside the point."""
    front: bool
    """No other point is at least as good for every head and better for one."""
    chosen: bool
    hint: str


def trade_off_chart(title: str, points: Sequence[TradeOffPoint], *, x: str, y: str, joined: bool) -> Markup:
    """One ring a point; the chosen point is filled.

    Args:
        x: what the horizontal axis measures.
        y: what the vertical axis measures.
        joined: join the points of the front, which is a curve where there are no other heads.
    """
    note = (
        "Beside each point: the share of the horizontal head in the sum of losses. Filled: the chosen point."
    )
    with chart(title, 500, 370, note=note) as drawn:
        axes = drawn.axes(70, 14, 34, 44)
        axes.grid()
        front = sorted((point.x, point.y) for point in points if point.front)
        if joined:
            axes.plot([at for at, _ in front], [value for _, value in front], color=colour(SHARED))
        for point in points:
            ring = colour(SHARED if point.front else "axis")
            face = ring if point.chosen else colour("paper")
            size = 12 if point.chosen else 8
            (dot,) = axes.plot(point.x, point.y, "o", color=ring, markerfacecolor=face, markersize=size)
            drawn.hint(dot, point.hint)
            share = f"{point.share:.2f}".removeprefix("0")
            where = (point.x, point.y), (9, 5)
            axes.annotate(share, *where, textcoords="offset points", fontsize=10, color=colour("soft"))
        axes.margins(0.08)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5))
        axes.set(xlabel=short(x, MOST_LETTERS), ylabel=short(y, MOST_LETTERS))
        return drawn.html()
