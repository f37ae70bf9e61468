"""Charts as inline SVG, without scripts: bars by label, a histogram, a heat map.

Each has a title, a unit on its axis and a legend where it shows more than one thing. All text is escaped.
Does not know what the figures mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from report.charts import svg
from report.charts.svg import INK, SOFT

COLOURS = ("#2b5c8a", "#7fb0d3", "#c9dcea", "#e0a030")
"""Fill of the first, second … series: dark to light, then a warm one, told apart in grey too."""
WIDTH = 560
"""Width of a chart in its own units; it scales with its box."""


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
    colours: Mapping[str, str] | None = None,
) -> Markup:
    """Horizontal bars, one group a category and one bar a series; the first series' value is written.

    Args:
        series: name → one value a category, ≥ 0; none draws nothing.
        unit: what the axis measures.
        colours: name → fill, where `COLOURS` in order will not do.
    """
    fills = {name: (colours or {}).get(name, COLOURS[i % len(COLOURS)]) for i, name in enumerate(series)}
    bar = {1: 12, 2: 8, 3: 6}.get(len(series), 5)
    step = bar * len(series) + 9
    left, right, top = _room(categories, 6.9, 30), 56, 44
    width = WIDTH - left - right
    values = [v for column in series.values() for v in column if v is not None]
    ticks = _ticks(max(values, default=1.0) or 1.0)
    height = top + step * len(categories) + 34
    scale = width / ticks[-1]
    parts = [_title(title), _legend(fills)]
    for tick in ticks:
        x = left + tick * scale
        parts.append(svg.line(x, top - 4, x, height - 30))
        parts.append(svg.text(write(tick), x, height - 16, anchor="middle", size=10.5, fill=SOFT))
    parts.append(svg.text(unit, left + width / 2, height - 3, anchor="middle", size=10.5, fill=SOFT))
    if len(series) > 1:
        name = svg.short(next(iter(series)), 8)
        parts.append(svg.text(name, WIDTH - 4, top - 8, anchor="end", size=10.5, fill=SOFT))
    for i, category in enumerate(categories):
        y = top + i * step
        middle = y + bar * len(series) / 2 + 4
        parts.append(
            svg.text(svg.short(category, 30), left - 8, middle, anchor="end", size=11.5, hint=category)
        )
        for j, (name, column) in enumerate(series.items()):
            value = column[i]
            if value is None:
                continue
            hint = f"{category}, {name}: {write(value)}"
            parts.append(svg.rect(left, y + j * bar, max(value * scale, 0.6), bar - 1, fills[name], hint))
        first = next(iter(series.values()), [None])[i]
        if first is not None:
            # With several series the figure stands apart, or it would be read as that of the longest bar.
            x, anchor = (left + first * scale + 6, "start") if len(series) == 1 else (WIDTH - 4, "end")
            parts.append(svg.text(write(first), x, middle, anchor=anchor, size=10.5, fill=SOFT))
    return _figure(height, title, parts)


def histogram(
    title: str,
    edges: ArrayLike,
    counts: ArrayLike,
    *,
    unit: str,
    then: tuple[ArrayLike, ArrayLike] | None = None,
    marks: Mapping[str, float] | None = None,
) -> Markup:
    """Shares of rows per bin on a logarithmic axis.

    Args:
        edges: (K+1,), rising, > 0.
        counts: (K,).
        then: edges and counts of the champion's data, drawn as a line.
        marks: name → place of a vertical line, in `unit`.
    """
    lows, shares = np.asarray(edges, dtype=np.float64), _shares(counts)
    old = None if then is None else (np.asarray(then[0], dtype=np.float64), _shares(then[1]))
    left, top, width, height = 16, 64, WIDTH - 36, 170
    first = max(min(lows[0], old[0][0] if old else lows[0]), 0.5)
    last = max(lows[-1], old[0][-1] if old else lows[-1], first * 2)
    span = math.log(last / first)

    def at(value: float) -> float:
        return left + width * min(max(math.log(max(value, first) / first) / span, 0.0), 1.0)

    # Bins differ in width: the area, not the height, must show the share, on the axis that is drawn.
    def density(where: NDArray[np.float64], what: NDArray[np.float64]) -> NDArray[np.float64]:
        drawn = np.diff(np.array([at(value) for value in where]))
        return np.asarray(np.divide(what, drawn, out=np.zeros_like(what), where=drawn > 0))

    tall = density(lows, shares)
    tall_old = density(*old) if old else np.zeros(0)
    peak = max([*tall.tolist(), *tall_old.tolist(), 1e-12])
    parts = [_title(title), _legend({"now": COLOURS[0]} | ({"champion's data": COLOURS[3]} if old else {}))]
    floor = top + height
    for i, value in enumerate(tall):
        x, y = at(lows[i]), height * value / peak
        hint = f"{lows[i]:.0f} to {lows[i + 1]:.0f} {unit}: {share(float(shares[i]))}"
        parts.append(svg.rect(x, floor - y, max(at(lows[i + 1]) - x - 0.7, 0.5), y, COLOURS[0], hint))
    if old:
        points = [f"{at(old[0][0]):.1f},{floor:.1f}"]
        for i, value in enumerate(tall_old):
            y = floor - height * value / peak
            points += [f"{at(old[0][i]):.1f},{y:.1f}", f"{at(old[0][i + 1]):.1f},{y:.1f}"]
        parts.append(
            Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="1.6"/>').format(
                " ".join(points), COLOURS[3]
            )
        )
    parts.append(svg.line(left, floor, left + width, floor, "#9aa5b1"))
    for tick in _log_ticks(first, last):
        parts.append(svg.line(at(tick), floor, at(tick), floor + 4, "#9aa5b1"))
        parts.append(svg.text(f"{tick:,.0f}", at(tick), floor + 17, anchor="middle", size=10.5, fill=SOFT))
    parts.append(
        svg.text(f"{unit} (logarithmic)", left + width / 2, floor + 33, anchor="middle", size=10.5, fill=SOFT)
    )
    parts.append(svg.text("share of rows", left, top - 9, size=10.5, fill=SOFT))
    for name, place in (marks or {}).items():
        x, end = at(place), at(place) > left + width * 0.7
        parts.append(svg.line(x, top, x, floor, "#a3262c", dashes="4 3"))
        parts.append(
            svg.text(name, x - 5 if end else x + 5, top - 2, anchor="end" if end else "start", fill="#a3262c")
        )
    return _figure(floor + 40, title, parts)


def heat_map(title: str, labels: Sequence[str], matrix: ArrayLike, *, unit: str) -> Markup:
    """Shares (K, K) as shaded squares in hundredths, row by column; the diagonal is left blank, and what is
    NaN gets a dash.

    Args:
        unit: how a square is read, such as `share of the row's label that also carry the column's`.
    """
    values = np.asarray(matrix, dtype=np.float64)
    left, right = _room(labels, 6.7, 18), 62  # the slanted name of the last column needs room
    top = 40 + 0.72 * _room(labels, 6.4, 15)
    cell = min(36.0, (WIDTH - left - right) / max(len(labels), 1))
    height = top + cell * len(labels) + 44
    off = values[~np.eye(len(labels), dtype=bool)]
    off = off[np.isfinite(off)]
    peak = max(float(off.max()) if off.size else 0.0, 1e-12)
    parts = [_title(title)]
    for i, label in enumerate(labels):
        y, x = top + (i + 0.5) * cell, left + (i + 0.5) * cell
        parts.append(svg.text(svg.short(label, 18), left - 6, y + 4, anchor="end", size=11, hint=label))
        parts.append(
            Markup('<g transform="translate({:.1f} {}) rotate(-50)">{}</g>').format(
                x + 3, top - 6, svg.text(svg.short(label, 15), 0, 0, size=11, hint=label)
            )
        )
        for j, other in enumerate(labels):
            spot = left + j * cell, top + i * cell
            if i == j:
                parts.append(svg.rect(*spot, cell - 1, cell - 1, "#f6f7f9"))
                continue
            value = float(values[i, j])
            if not math.isfinite(value):
                hint = f"{label} with {other}: no text knows both"
                parts.append(svg.rect(*spot, cell - 1, cell - 1, "#ffffff", hint))
                if cell >= 14:
                    middle = spot[0] + cell / 2
                    parts.append(svg.text("–", middle, y + 3.5, anchor="middle", size=9.5, fill="#c3cad3"))
                continue
            depth = value / peak
            hint = f"{label} with {other}: {share(value)}"
            parts.append(svg.rect(*spot, cell - 1, cell - 1, _shade(depth), hint))
            if cell >= 16 and value >= 0.005:
                ink = "#ffffff" if depth > 0.55 else INK
                parts.append(
                    svg.text(
                        f"{100 * value:.0f}", spot[0] + cell / 2, y + 3.5, anchor="middle", size=9.5, fill=ink
                    )
                )
    foot = top + cell * len(labels) + 14
    for k in range(20):
        parts.append(svg.rect(left + k * 6, foot, 6.2, 9, _shade(k / 19)))
    parts.append(svg.text("0%", left - 6, foot + 9, anchor="end", size=10.5, fill=SOFT))
    parts.append(
        svg.text(f"{share(peak) if off.size else ''}  {unit}", left + 126, foot + 9, size=10.5, fill=SOFT)
    )
    return _figure(height, title, parts)


def _room(words: Sequence[str], width: float, most: int) -> float:
    """Width of the longest of some words, cut to `most` characters of `width` each."""
    return max(16 + width * min(max(map(len, words), default=0), most), 60.0)


def _shares(counts: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(counts, dtype=np.float64)
    return np.asarray(found / max(found.sum(), 1.0))


def _ticks(largest: float) -> list[float]:
    """From 0 in four or five round steps to at least `largest`."""
    rough = largest / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * k for k in (1, 2, 2.5, 5, 10) if size * k >= rough * 0.999)
    return [step * k for k in range(math.ceil(largest / step * 0.999) + 1)]


def _log_ticks(first: float, last: float) -> list[float]:
    powers = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    return [k * 10.0**p for p in powers for k in (1, 2, 5) if first <= k * 10.0**p <= last]


def _shade(depth: float) -> str:
    """White to the first colour, by a depth in [0, 1]."""
    low, high = (240, 244, 248), (36, 78, 120)
    red, green, blue = (
        round(a + (b - a) * min(max(depth, 0.0), 1.0)) for a, b in zip(low, high, strict=True)
    )
    return f"#{red:02x}{green:02x}{blue:02x}"


def _figure(height: float, title: str, parts: Sequence[Markup]) -> Markup:
    return svg.figure(WIDTH, height, title, parts)


def _title(title: str) -> Markup:
    return svg.text(title, 0, 14, size=13.5, weight=600)


def _legend(fills: Mapping[str, str]) -> Markup:
    return svg.legend(list(fills.items()), 0, 32)
