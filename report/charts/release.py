"""Charts of the release report as inline SVG: intervals, training curves, latencies, confusions.

Pure functions of figures. Does not know bundles or verdict rules, and judges nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from report.charts import svg

Points = Sequence[tuple[float, float]]
SHARED, BASELINE = svg.SERIES[0], svg.SERIES[1]
"""Colours of the shared model and of what it is compared with, on every chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the interval chart: two figures and their difference, each `(value, lower, upper)`."""

    name: str
    metric: str
    shared: tuple[float, float, float]
    other: tuple[float, float, float]
    difference: tuple[float, float, float]
    margin: float
    """The difference should surely lie above -margin."""
    outcome: str


def interval_chart(rows: Sequence[Row]) -> Markup:
    """Each head's figures with their bounds, and beside them the difference against its margin."""
    left, gap, panel, top, step = 190, 70, 400, 52, 46
    width, height = left + 2 * panel + gap + 30, top + step * len(rows) + 34
    figures = [bound for row in rows for bound in (*row.shared, *row.other)]
    at = _scale(min(figures), max(figures), left, panel)
    spread = [bound for row in rows for bound in (*row.difference, 0.0, -1.4 * row.margin, row.margin)]
    beside = _scale(min(spread), max(spread), left + panel + gap, panel)
    parts = [
        svg.text("Metric on the test rows", left, 14, size=13, weight=600),
        svg.text("Shared minus baseline", left + panel + gap, 14, size=13, weight=600),
        svg.legend((("shared", SHARED), ("baseline or champion", BASELINE)), left, 33),
        svg.text("dashed: the margin", left + panel + gap, 33, size=11, fill=svg.SOFT),
        *_axis(at, top - 6, height - 28, ".2f"),
        *_axis(beside, top - 6, height - 28, "+.3f"),
        svg.line(beside.at(0), top - 6, beside.at(0), height - 28, svg.AXIS, width=1.4),
    ]
    for number, row in enumerate(rows):
        y = top + step * number + step / 2
        parts += [
            svg.text(
                svg.short(row.name, 26), left - 14, y - 2, anchor="end", size=12.5, weight=600, hint=row.name
            ),
            svg.text(row.metric, left - 14, y + 13, anchor="end", size=11, fill=svg.SOFT),
            *_whisker(at, row.shared, y - 7, SHARED, f"{row.name}, shared", ".3f"),
            *_whisker(at, row.other, y + 8, BASELINE, f"{row.name}, baseline", ".3f", hollow=True),
            svg.line(
                beside.at(-row.margin),
                y - 17,
                beside.at(-row.margin),
                y + 17,
                "#a3262c",
                dashes="3 3",
                width=1.5,
            ),
            *_whisker(beside, row.difference, y, _tone(row.outcome), f"{row.name}: {row.outcome}", "+.4f"),
        ]
    return svg.figure(width, height, "Metrics and differences with their intervals", parts)


def line_chart(title: str, series: Mapping[str, Points], *, x: str, y: str, dots: bool = False) -> Markup:
    """Lines over a common axis; points that are not finite are left out.

    Args:
        series: name → points, x rising.
        x: what the horizontal axis measures.
        y: what the vertical axis measures.
        dots: mark each point, for a few points that are not joined by anything measured.
    """
    left, top, width, height = 52.0, 52.0, 480.0, 170.0
    kept = {name: [(a, b) for a, b in points if math.isfinite(b)] for name, points in series.items()}
    every = [point for points in kept.values() for point in points]
    if not every:
        return Markup('<p class="empty">{}: nothing was recorded.</p>').format(title)
    across = _scale(min(p[0] for p in every), max(p[0] for p in every), left, width, pad=0.02)
    up = _scale(min(p[1] for p in every), max(p[1] for p in every), 0, height, pad=0.06)
    floor = top + height
    parts = [svg.text(title, 0, 14, size=13.5, weight=600)]
    colours = [(name, svg.SERIES[i % len(svg.SERIES)]) for i, name in enumerate(kept)]
    parts.append(svg.legend(colours, 0, 33))
    for tick in up.ticks():
        level = floor - up.at(tick)
        parts += [
            svg.line(left, level, left + width, level),
            svg.text(f"{tick:g}", left - 7, level + 4, anchor="end", size=10.5, fill=svg.SOFT),
        ]
    whole = all(float(place).is_integer() for place, _ in every)  # no half epochs or half blocks
    for tick in across.ticks():
        if whole and not tick.is_integer():
            continue
        parts.append(
            svg.text(f"{tick:g}", across.at(tick), floor + 16, anchor="middle", size=10.5, fill=svg.SOFT)
        )
    parts += [
        svg.line(left, floor, left + width, floor, svg.AXIS),
        svg.text(x, left + width / 2, floor + 31, anchor="middle", size=10.5, fill=svg.SOFT),
        svg.text(y, left + width, top - 8, anchor="end", size=10.5, fill=svg.SOFT),
    ]
    for name, colour in colours:
        placed = [(across.at(a), floor - up.at(b)) for a, b in kept[name]]
        parts.append(svg.path(placed, colour))
        if dots:
            parts += [
                svg.dot(px, py, 3, colour, f"{name}: {b:.4g} at {a:g}")
                for (px, py), (a, b) in zip(placed, kept[name], strict=True)
            ]
    return svg.figure(540, floor + 38, title, parts)


def latency_chart(bundles: Mapping[str, NDArray[np.float64]]) -> Markup:
    """Percentiles of each bundle's latency: whiskers from the 1st to the 99th, box from the 25th to the
    75th, a bar at the median, a ring at the 95th."""
    left, panel, top, step = 190, 820, 44, 30
    height = top + step * len(bundles) + 34
    found = {name: np.percentile(ms, (1, 25, 50, 75, 95, 99)) for name, ms in bundles.items()}
    at = _scale(0.0, max(float(p[-1]) for p in found.values()), left, panel, pad=0)
    parts = [
        svg.text("Latency of one request", left, 14, size=13, weight=600),
        svg.text(
            "whiskers 1–99%, box 25–75%, bar: median, ring: 95%", left + 175, 14, size=11, fill=svg.SOFT
        ),
        *_axis(at, top - 8, height - 28, "g", " ms"),
    ]
    for number, (name, p) in enumerate(found.items()):
        y = top + step * number + step / 2 - 4
        colour = SHARED if name in ("shared", "control") else BASELINE
        hint = f"{name}: median {p[2]:.2f} ms, p95 {p[4]:.2f} ms, p99 {p[5]:.2f} ms"
        parts += [
            svg.text(svg.short(name, 27), left - 12, y + 4, anchor="end", size=12, hint=name),
            svg.line(at.at(p[0]), y, at.at(p[5]), y, colour, width=1.6),
            svg.rect(at.at(p[1]), y - 7, max(at.at(p[3]) - at.at(p[1]), 1.5), 14, colour, hint),
            svg.line(at.at(p[2]), y - 7, at.at(p[2]), y + 7, "#ffffff", width=2),
            svg.dot(at.at(p[4]), y, 4, colour, hint, hollow=True),
            svg.text(f"{p[2]:.1f}", at.at(p[5]) + 8, y + 4, size=10.5, fill=svg.SOFT),
        ]
    return svg.figure(left + panel + 60, height, "Latency of one request by bundle", parts)


def confusion_chart(title: str, labels: Sequence[str], counts: NDArray[np.int64]) -> Markup:
    """Rows are the truth, columns the answer; shading is the share of the row, numbers are rows."""
    size = len(labels)
    left, top = 150.0, 128.0
    cell = max(15.0, min(44.0, 620 / size))
    width, height = left + cell * size + 80, top + cell * size + 12
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    parts = [
        svg.text(title, 0, 14, size=13.5, weight=600),
        svg.text("row: true label, column: answer; shade: share of the row", 0, 32, size=11, fill=svg.SOFT),
    ]
    font = 11.0 if cell >= 18 else 9.5
    for at, label in enumerate(labels):
        middle = cell * (at + 0.5)
        parts += [
            svg.text(svg.short(label, 22), left - 8, top + middle + 4, anchor="end", size=font, hint=label),
            svg.text(svg.short(label, 18), left + middle + 3, top - 7, size=font, turn=-45, hint=label),
        ]
    for i in range(size):
        for j in range(size):
            share, x, y = float(shares[i, j]), left + cell * j, top + cell * i
            hint = f"{labels[i]} answered as {labels[j]}: {counts[i, j]} rows, {share:.1%} of {labels[i]}"
            parts.append(svg.rect(x, y, cell - 1, cell - 1, _shade(share, right=i == j), hint))
            if counts[i, j] and cell >= 26:
                ink = "#ffffff" if share > 0.55 else svg.INK
                parts.append(
                    svg.text(
                        f"{counts[i, j]}",
                        x + cell / 2,
                        y + cell / 2 + 4,
                        anchor="middle",
                        size=10.5,
                        fill=ink,
                    )
                )
    return svg.figure(width, height, title, parts)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A straight scale from values to places."""

    low: float
    high: float
    start: float
    length: float

    def at(self, value: float) -> float:
        """Place of a value, held inside the axis."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + self.length * min(max(share, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """Four to six round values inside the axis."""
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(k * step, 12) for k in range(first, last + 1)]


def _scale(low: float, high: float, start: float, length: float, *, pad: float = 0.05) -> _Axis:
    spread = (high - low) or max(abs(high), 1.0) * 0.1
    return _Axis(low - pad * spread, low + spread + pad * spread, start, length)


def _axis(axis: _Axis, top: float, bottom: float, style: str, unit: str = "") -> list[Markup]:
    parts = []
    for tick in axis.ticks():
        x = axis.at(tick)
        parts.append(svg.line(x, top, x, bottom))
        parts.append(
            svg.text(f"{tick:{style}}{unit}", x, bottom + 15, anchor="middle", size=10.5, fill=svg.SOFT)
        )
    return parts


def _whisker(
    axis: _Axis,
    figures: tuple[float, float, float],
    y: float,
    colour: str,
    name: str,
    style: str,
    *,
    hollow: bool = False,
) -> list[Markup]:
    value, lower, upper = figures
    hint = f"{name}: {value:{style}} [{lower:{style}}, {upper:{style}}]"
    ends = [svg.line(axis.at(end), y - 4, axis.at(end), y + 4, colour, width=1.8) for end in (lower, upper)]
    bar = svg.line(axis.at(lower), y, axis.at(upper), y, colour, width=1.8)
    return [bar, *ends, svg.dot(axis.at(value), y, 4.5, colour, hint, hollow=hollow)]


def _tone(outcome: str) -> str:
    return {"pass": "#1d6b45", "fail": "#a3262c"}.get(outcome, "#855400")


def _shade(share: float, *, right: bool) -> str:
    """White to green for what is right, white to red for what is not."""
    low, high = (243, 245, 248), ((29, 107, 69) if right else (163, 38, 44))
    depth = min(max(share, 0.0), 1.0) ** 0.7
    red, green, blue = (round(a + (b - a) * depth) for a, b in zip(low, high, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"
