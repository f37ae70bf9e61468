"""Loss weights of the heads and what each choice gives: the grid, the Pareto front, the chosen point.

Pure functions of arrays. Axes: P points, H heads. Does not know how a point is trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.1, 0.9
"""Ends of the grid of π: nearer to 0 or 1 a head is hardly trained at all."""


def share_grid(heads: int, points: int) -> NDArray[np.float64]:
    """(P, H) shares of the heads in the sum of losses, each row adding up to 1.

    Two heads: π for the first from 0.1 to 0.9 in `points` equal steps, 1 − π for the second, as in
    π·L_Y + (1 − π)·L_Z. More: each head in turn gets π and the others divide the rest evenly; equal shares
    are always among them.

    Raises:
        ValueError: fewer than two heads or points.
    """
    if heads < 2 or points < 2:
        raise ValueError(f"a trade-off needs two heads and two points or more; seen {heads} and {points}")
    grid = np.linspace(LOWEST, HIGHEST, points)
    rows = [np.full(heads, 1 / heads)]
    for head in range(1 if heads == 2 else heads):
        for share in grid:
            row = np.full(heads, (1 - share) / (heads - 1))
            row[head] = share
            rows.append(row)
    found = np.unique(np.round(np.array(rows), 6), axis=0)
    ordered: NDArray[np.float64] = found / found.sum(axis=1, keepdims=True)
    return ordered


def loss_shares(heads: Sequence[str], points: int) -> list[dict[str, float]]:
    """The grid by name: head → its share of the sum of losses, one a point."""
    return [dict(zip(heads, row, strict=True)) for row in share_grid(len(heads), points).tolist()]


def pareto_front(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(P,) whether no other point is at least as good for every head and better for one.

    Args:
        values: (P, H) metric of each head at each point; higher is better.
    """
    at_least: NDArray[np.bool_] = np.all(values[None] >= values[:, None], axis=2)
    better: NDArray[np.bool_] = np.any(values[None] > values[:, None], axis=2)
    beaten: NDArray[np.bool_] = np.any(at_least & better, axis=1)
    return ~beaten


def chosen_point(values: NDArray[np.float64]) -> int:
    """The point with the best mean over the heads, which is always on the front; of equals the one whose
    worst head is best."""
    means, worst = values.mean(axis=1), values.min(axis=1)
    return int(np.lexsort((-worst, -means))[0])
