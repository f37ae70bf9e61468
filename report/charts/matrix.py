"""Square matrices of labels: which label was answered as which, and which labels stand together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from report.charts.bars import share
from report.charts.chart import SHARED, chart, colour, room

ROW_LETTERS, COLUMN_LETTERS = 22, 16
RIGHT = 60
"""Points right of the matrix, for the slanted name of the last column."""

Cell = tuple[str, float, str, str]
"""A shaded square: role of its colour, depth from 0 to 1, what is written in it, what the mouse shows."""


def confusion_chart(title: str, labels: Sequence[str], counts: NDArray[np.int64]) -> Markup:
    """Rows are the truth, columns the answer. A square is shaded by its share of the row's label, green where
    the answer is right, red where it is wrong; its number counts test rows.

    Args:
        counts: (L, L).
    """
    totals = np.maximum(counts.sum(axis=1), 1)

    def cell(i: int, j: int) -> Cell | None:
        count, part = int(counts[i, j]), float(counts[i, j] / totals[i])
        hint = f"{labels[i]} answered as {labels[j]}: {count:,} rows, {part:.1%}"
        return ("good" if i == j else "bad", part**0.7, str(count), hint) if count else None

    note = "Row: true label. Column: answer. Number: test rows. Shade: share of the true label's rows."
    return _matrix(title, labels, cell, note=note)


def heat_map(title: str, labels: Sequence[str], matrix: ArrayLike, *, unit: str) -> Markup:
    """Shares (K, K) in hundredths, row by column; the diagonal stays blank, and NaN gets a dash.

    Args:
        unit: how a square is read, such as `of the row's texts also have the column's`.
    """
    values = np.asarray(matrix, dtype=np.float64)
    off = values[~np.eye(len(labels), dtype=bool) & np.isfinite(values)]
    peak = float(off.max()) if off.size else 0.0

    def cell(i: int, j: int) -> Cell | None:
        value, pair = float(values[i, j]), f"{labels[i]} with {labels[j]}"
        if i == j or value == 0:
            return None
        if not math.isfinite(value):
            return SHARED, 0.0, "–", f"{pair}: no text knows both"
        return SHARED, value / peak, f"{100 * value:.0f}" if value >= 0.005 else "", f"{pair}: {share(value)}"

    note = f"Percent {unit}. The darkest square is {share(peak)}." if off.size else ""
    return _matrix(title, labels, cell, note=note)


def _matrix(
    title: str, labels: Sequence[str], cell: Callable[[int, int], Cell | None], *, note: str
) -> Markup:
    size = max(len(labels), 1)
    side = min(max(340 / size, 20.0), 36.0)
    left, top = room(labels, ROW_LETTERS), 6 + 0.6 * room(labels, COLUMN_LETTERS)
    with chart(title, left + side * size + RIGHT, top + side * size + 6, note=note) as drawn:
        axes = drawn.axes(left, top, RIGHT, 6)
        axes.spines["bottom"].set_visible(False)
        axes.set(xlim=(0, size), ylim=(size, 0), xticks=[])
        axes.add_artist(Rectangle((0, 0), size, size, facecolor=colour("wash")))
        drawn.names(axes, [at + 0.5 for at in range(len(labels))], labels, ROW_LETTERS)
        slant = {"most": COLUMN_LETTERS, "rotation": 45, "rotation_mode": "anchor", "role": "ink"}
        for at, label in enumerate(labels):
            drawn.write(axes, label, (at + 0.5, 0), (2, 6), **slant)
        for i, j in np.ndindex(len(labels), len(labels)):
            if (found := cell(i, j)) is not None:
                role, depth, text, hint = found
                fill, edge = (colour(role), max(depth, 0.06)), colour("paper")
                square = Rectangle((j, i), 1, 1, facecolor=fill, edgecolor=edge, linewidth=1)
                drawn.hint(axes.add_artist(square), hint)
                if text and 6 * len(text) < side:
                    ink = colour("paper" if depth > 0.65 else "ink")
                    axes.text(j + 0.5, i + 0.53, text, ha="center", va="center", fontsize=9.5, color=ink)
        return drawn.html()
