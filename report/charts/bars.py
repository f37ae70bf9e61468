"""Horizontal bars by label: how often each label applies, or how well a model answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from report.charts.chart import (
    BASELINE,
    BESIDE,
    PALER,
    PALEST,
    SHARED,
    Chart,
    chart,
    colour,
    marks,
    room,
    short,
)

WIDTH = 560
MOST_LETTERS = 30
ROLES = (SHARED, PALER, PALEST, BASELINE)
"""Colours of the first, second … series: dark to light, then a warm one; they differ in grey too."""


def share(value: float) -> str:
    """A share as a percentage of sensible precision."""
    return f"{value:.0%}" if value >= 0.1 or value == 0 else f"{value:.1%}" if value >= 0.001 else "<0.1%"


def bar_chart(
    title: str,
    categories: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    unit: str,
    write: Callable[[float], str] = share,
    roles: Mapping[str, str] | None = None,
) -> Markup:
    """One group of bars a category, one bar a series; the value of the first series is written beside them.

    Args:
        series: name → one value a category, ≥ 0; none draws nothing.
        unit: what the axis measures.
        roles: name → role of its colour, where `ROLES` in order will not do.
    """
    bar = {1: 12, 2: 8, 3: 6}.get(len(series), 5)
    step = bar * len(series) + 9
    top = 24 if len(series) > 1 else 4
    largest = max((v for column in series.values() for v in column if v is not None), default=0) or 1.0
    with chart(title, WIDTH, top + step * max(len(categories), 1) + 40) as drawn:
        axes = drawn.axes(room(categories, MOST_LETTERS), top, 56, 36)
        axes.grid(axis="x")
        for at, (name, column) in enumerate(series.items()):
            fill = colour((roles or {}).get(name, ROLES[at % len(ROLES)]))
            shown = [(i, value) for i, value in enumerate(column) if value is not None]
            places = [i + (at - (len(series) - 1) / 2) * bar / step for i, _ in shown]
            bars = axes.barh(
                places,
                [value for _, value in shown],
                (bar - 1) / step,
                color=fill,
                label=short(name, MOST_LETTERS),
            )
            for (i, value), one in zip(shown, bars, strict=True):
                drawn.hint(one, f"{categories[i]}, {name}: {write(value)}")
        _figures(drawn, axes, series, write)
        drawn.names(axes, range(len(categories)), categories, MOST_LETTERS)
        axes.set_ylim(max(len(categories), 1) - 0.5, -0.5)
        axes.set_xlim(0, marks(axes.xaxis, write).tick_values(0, largest)[-1])
        axes.set_xlabel(short(unit, MOST_LETTERS * 2))
        drawn.legend(axes)
        return drawn.html()


def _figures(
    drawn: Chart, axes: Axes, series: Mapping[str, Sequence[float | None]], write: Callable[[float], str]
) -> None:
    """The first series' figures: at the ends of its bars or, with several series, in a column beside them,
    or they would be read as those of the longest bars."""
    name, values = next(iter(series.items()), ("", ()))
    for i, value in enumerate(values):
        if value is not None and len(series) == 1:
            drawn.write(axes, write(value), (value, i), (6, 0))
        elif value is not None:
            drawn.write(axes, write(value), (1, i), (52, 0), xycoords=BESIDE, ha="right")
    if len(series) > 1:
        drawn.write(axes, name, (1, 1), (52, 11), most=8, xycoords="axes fraction", ha="right")
