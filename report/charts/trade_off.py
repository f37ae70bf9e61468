"""Two heads' metrics against each other: what one gains, the other loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from model.references import SweepPoint
from report.charts.chart import SHARED, chart, colour, short

MOST_LETTERS = 50


def trade_off_chart(
    points: Sequence[SweepPoint],
    front: NDArray[np.bool_],
    chosen: int,
    pair: tuple[str, str],
    metrics: Mapping[str, str],
) -> Markup:
    """One ring a point, the chosen one filled; the front is joined where there are no other heads.

    Args:
        front: (P,) which points are on the front.
        chosen: number of the chosen point, from 0.
        pair: the head on the horizontal axis and the one on the vertical axis.
        metrics: head → name of its primary metric.
    """
    across, up = pair
    places = [(point.metrics[across], point.metrics[up]) for point in points]
    note = f"Beside each point: the share of {across} in the sum of losses. Filled: the chosen point."
    with chart(f"{up} against {across}", 500, 370, note=note) as drawn:
        axes = drawn.axes(70, 14, 34, 44)
        axes.grid()
        if len(metrics) == 2:
            curve = sorted(place for place, on in zip(places, front, strict=True) if on)
            axes.plot(*zip(*curve, strict=True), color=colour(SHARED))
        for number, (point, place) in enumerate(zip(points, places, strict=True)):
            ring = colour(SHARED if front[number] else "axis")
            face, size = (ring, 12) if number == chosen else (colour("paper"), 8)
            (dot,) = axes.plot(*place, "o", color=ring, markerfacecolor=face, markersize=size)
            shares = ", ".join(f"{head} {share:.2f}" for head, share in point.shares.items())
            drawn.hint(dot, f"point {number + 1}: {shares}")
            drawn.write(axes, f"{point.shares[across]:.2f}".removeprefix("0"), place, (9, 8))
        axes.margins(0.08)
        for axis, head in ((axes.xaxis, across), (axes.yaxis, up)):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_label_text(short(f"{head}: {metrics[head]}", MOST_LETTERS))
        return drawn.html()
