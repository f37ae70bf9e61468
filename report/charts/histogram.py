"""A histogram of lengths on a logarithmic axis, beside that of the champion's data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from report.charts.bars import WIDTH, share
from report.charts.chart import BASELINE, SHARED, chart, colour, short

LEAST = 0.5
"""Where the axis begins at the earliest: a logarithmic one has no zero."""


def histogram(
    title: str,
    edges: ArrayLike,
    counts: ArrayLike,
    *,
    unit: str,
    then: tuple[ArrayLike, ArrayLike] | None = None,
    marks: Mapping[str, float] | None = None,
) -> Markup:
    """Shares of rows per bin.

    Args:
        edges: (K+1,), rising.
        counts: (K,).
        then: edges and counts of the champion's data, drawn as a line.
        marks: name → place of a vertical line, in `unit`.
    """
    with chart(title, WIDTH, 220, note="The area shows the share of rows.") as drawn:
        axes = drawn.axes(16, 26, 20, 36)
        places, shares, heights = _densities(edges, counts)
        bars = axes.bar(
            places[:-1], heights, np.diff(places), align="edge", color=colour(SHARED), label="now"
        )
        for at, one in enumerate(bars):
            one.set(edgecolor=colour("paper"), linewidth=0.7)
            drawn.hint(one, f"{places[at]:.0f} to {places[at + 1]:.0f} {unit}: {share(shares[at])}")
        if then is not None:
            before, _, outline = _densities(*then)
            axes.stairs(outline, before, color=colour(BASELINE), linewidth=1.6, label="champion's data")
        for name, place in (marks or {}).items():
            axes.axvline(place, color=colour("bad"), linestyle=(0, (4, 3)), linewidth=1)
            top = ("data", "axes fraction")
            drawn.write(axes, name, (place, 1), (0, 6), xycoords=top, ha="center", role="bad")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_yticks([])
        axes.set_xlabel(f"{short(unit, 40)} (logarithmic axis)")
        if then is not None:
            drawn.legend(axes)
        return drawn.html()


def _densities(
    edges: ArrayLike, counts: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Edges (K+1,), shares of rows (K,) and heights (K,).

    Bins differ in width, so the area shows the share, on the logarithmic axis.
    """
    places = np.maximum(np.asarray(edges, dtype=np.float64), LEAST)
    found = np.asarray(counts, dtype=np.float64)
    shares = np.asarray(found / max(found.sum(), 1.0))
    widths = np.diff(np.log(places))
    return places, shares, np.asarray(np.divide(shares, widths, out=np.zeros_like(shares), where=widths > 0))
