"""Square matrices of labels: which label was answered as which, and which labels stand together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from report.charts.bars import share
from report.charts.chart import SHARED, chart, colour, room, short

ROW_LETTERS, COLUMN_LETTERS = 22, 16
RIGHT = 60
"""Points right of the matrix, for the slanted name of the last column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One shaded square."""

    row: int
    column: int
    role: str
    """Colour."""
    depth: float
    """From 0, not shaded, to 1."""
    text: str
    """Written into it where there is room."""
    hint: str


def confusion_chart(title: str, labels: Sequence[str], counts: NDArray[np.int64]) -> Markup:
    """Rows are the truth, columns the answer. A square is shaded by its share of the row's label, green where
    the answer is right, red where it is wrong; its number counts test rows.

    Args:
        counts: (L, L).
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells = (
        Cell(
            row=int(i),
            column=int(j),
            role="good" if i == j else "bad",
            depth=float(shares[i, j]) ** 0.7,
            text=str(counts[i, j]),
            hint=f"{labels[i]} answered as {labels[j]}: {counts[i, j]:,} rows, {shares[i, j]:.1%}",
        )
        for i, j in np.argwhere(counts > 0)
    )
    note = "Row: true label. Column: answer. Number: test rows. Shade: share of the true label's rows."
    return _matrix(title, labels, cells, note=note)


def heat_map(title: str, labels: Sequence[str], matrix: ArrayLike, *, unit: str) -> Markup:
    """Shares (K, K) in hundredths, row by column; the diagonal stays blank, and NaN gets a dash.

    Args:
        unit: how a square is read, such as `of the row's texts also have the column's`.
    """
    values = np.asarray(matrix, dtype=np.float64)
    off = values[~np.eye(len(labels), dtype=bool) & np.isfinite(values)]
    peak = float(off.max()) if off.size else 0.0
    cells = (
        _together(labels, i, j, float(values[i, j]), peak)
        for i in range(len(labels))
        for j in range(len(labels))
        if i != j and values[i, j] != 0
    )
    return _matrix(
        title, labels, cells, note=f"Percent {unit}. The darkest square is {share(peak)}." if off.size else ""
    )


def _together(labels: Sequence[str], row: int, column: int, value: float, peak: float) -> Cell:
    known = math.isfinite(value)
    return Cell(
        row=row,
        column=column,
        role=SHARED,
        depth=value / peak if known else 0.0,
        text=("" if value < 0.005 else f"{100 * value:.0f}") if known else "–",
        hint=f"{labels[row]} with {labels[column]}: {share(value) if known else 'no text knows both'}",
    )


def _matrix(title: str, labels: Sequence[str], cells: Iterable[Cell], *, note: str) -> Markup:
    size = max(len(labels), 1)
    side = min(max(340 / size, 20.0), 36.0)
    left, top = room(labels, ROW_LETTERS), 6 + 0.6 * room(labels, COLUMN_LETTERS, least=0)
    with chart(title, left + side * size + RIGHT, top + side * size + 6, note=note) as drawn:
        axes = drawn.axes(left, top, RIGHT, 6)
        axes.spines["bottom"].set_visible(False)
        axes.set(xlim=(0, size), ylim=(size, 0), xticks=[])
        axes.add_artist(Rectangle((0, 0), size, size, facecolor=colour("wash")))
        drawn.names(axes, [at + 0.5 for at in range(len(labels))], labels, ROW_LETTERS)
        for at, label in enumerate(labels):
            name = axes.text(at + 0.4, -5 / side, short(label, COLUMN_LETTERS), fontsize=10.5)
            name.set(rotation=45, rotation_mode="anchor")
            if name.get_text() != label:
                drawn.hint(name, label)
        for cell in cells:
            fill, edge = (colour(cell.role), max(cell.depth, 0.06)), colour("paper")
            square = Rectangle((cell.column, cell.row), 1, 1, facecolor=fill, edgecolor=edge, linewidth=1)
            drawn.hint(axes.add_artist(square), cell.hint)
            if cell.text and 6 * len(cell.text) < side:
                ink = "paper" if cell.depth > 0.65 else "ink"
                middle = cell.column + 0.5, cell.row + 0.53
                axes.text(*middle, cell.text, ha="center", va="center", fontsize=9.5, color=colour(ink))
        return drawn.html()
