"""Percentiles of latency, one line a bundle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from report.charts.chart import BASELINE, SHARED, chart, colour, marks

PERCENTILES = (1, 25, 50, 75, 95, 99)
STEP, LEFT, RIGHT = 30, 190, 60
MOST_LETTERS = 27


def latency_chart(bundles: Mapping[str, NDArray[np.float64]]) -> Markup:
    """Whiskers from the 1st to the 99th percentile, box from the 25th to the 75th, a bar at the median with
    its figure, a ring at the 95th.

    Args:
        bundles: name → (Q,) milliseconds, at least one.
    """
    found = {name: np.percentile(ms, PERCENTILES).tolist() for name, ms in bundles.items()}
    note = "Whiskers: 1–99% of requests. Box: 25–75%. Bar and number: median. Ring: 95%."
    with chart("Latency of one request", 1070, STEP * len(found) + 44, note=note) as drawn:
        axes = drawn.axes(LEFT, 4, RIGHT, 40)
        axes.grid(axis="x")
        for at, (name, (low, first, median, third, high, top)) in enumerate(found.items()):
            fill = colour(SHARED if name in ("shared", "control") else BASELINE)
            axes.plot([low, top], [at, at], color=fill, linewidth=1.6)
            (box,) = axes.barh(at, third - first, 14 / STEP, first, color=fill)
            axes.plot([median, median], [at - 7 / STEP, at + 7 / STEP], color=colour("paper"), linewidth=2)
            (ring,) = axes.plot(high, at, "o", color=fill, markersize=7, markerfacecolor=colour("paper"))
            for artist in (box, ring):
                drawn.hint(artist, f"{name}: median {median:.2f} ms, p95 {high:.2f} ms, p99 {top:.2f} ms")
            drawn.write(axes, f"{median:.1f}", (top, at), (8, 0))
        drawn.names(axes, range(len(found)), list(found), MOST_LETTERS)
        axes.set(xlim=(0, max(top for *_, top in found.values())), ylim=(len(found) - 0.5, -0.5))
        marks(axes.xaxis, "{:g}".format, most=9)
        axes.set_xlabel("milliseconds")
        return drawn.html()
