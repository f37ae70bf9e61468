"""The page of a sweep: the trade-off between heads as charts, its points as a table.

Knows points; holds no text from the data.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from expectations.stats.pareto import chosen_point, pareto_front
from model.files import write_bytes
from model.references import SweepPoint
from report.page import badge, grid, page, section, table

MOST_PAIRS = 6
"""Charts on a page: of more pairs of heads the first ones are drawn; the table holds all figures."""


def write_sweep_page(
    name: str, points: Sequence[SweepPoint], metrics: Mapping[str, str], *, out: Path
) -> tuple[int, int]:
    """Write the page to the file `out`.

    Returns the number of the chosen point, from 0, and how many points are on the front.

    Args:
        name: project.
        metrics: head → name of its primary metric.
    """
    from report.charts.trade_off import trade_off_chart  # late: loads matplotlib

    values = np.array([[point.metrics[head] for head in metrics] for point in points])
    front, chosen = pareto_front(values), chosen_point(values)
    pairs = list(itertools.combinations(metrics, 2))[:MOST_PAIRS]
    weights = ", ".join(f"{head} {weight:.3g}" for head, weight in points[chosen].weights.items())
    html = page(
        f"{name}: loss weights",
        f"These weights give the best mean of the heads: {weights}.",
        [
            section(
                "Trade-off",
                grid(trade_off_chart(points, front, chosen, pair, metrics) for pair in pairs),
                lead="Each point is one training without teachers, measured on the validation rows. A point "
                "is on the front when no other point is at least as good for every head and better for one. "
                "All points share one seed: small differences are chance.",
            ),
            section("Points", _table(points, metrics, front, chosen)),
        ],
        facts=[("Points", len(points)), ("On the front", int(front.sum())), ("Chosen", chosen + 1)],
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, html.encode())
    return chosen, int(front.sum())


def _table(
    points: Sequence[SweepPoint], metrics: Mapping[str, str], front: NDArray[np.bool_], chosen: int
) -> Markup:
    rows = [
        [
            number + 1,
            *(round(point.weights[head], 4) for head in metrics),
            *(f"{point.metrics[head]:.4f}" for head in metrics),
            f"{sum(point.metrics.values()) / len(metrics):.4f}",
            badge("ok", "chosen") if number == chosen else badge("", "front") if front[number] else "",
        ]
        for number, point in enumerate(points)
    ]
    weights, figures = (f"Weight of {head}" for head in metrics), (f"{h}: {metrics[h]}" for h in metrics)
    headers = ["Point", *weights, *figures, "Mean", ""]
    return table(headers, rows, range(len(headers) - 1))
