"""The page of a sweep: the trade-off between heads as a chart, its points as a table.

Knows points; holds no text from the data.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup
from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.stats.pareto import chosen_point, pareto_front
from model.jobs.sweep import SweepPoint
from report.charts import svg
from report.page import badge, grid, page, section, table
from report.progress import Step

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 460.0, 340.0, 62.0, 20.0, 24.0, 46.0
MOST_PAIRS = 6
"""Charts on a page: of more pairs of heads the first ones are drawn; the table holds all figures."""


@task(name="sweep-page", cache_policy=NO_CACHE)
def write_sweep_page(
    name: str, points: Sequence[SweepPoint], metrics: Mapping[str, str], *, out: Path
) -> tuple[int, Path]:
    """Number of the chosen point (from 0) and the page, written to `out`.

    Args:
        metrics: head → name of its primary metric.
    """
    heads = list(metrics)
    values = np.array([[point.metrics[head] for head in heads] for point in points])
    front, chosen = pareto_front(values), chosen_point(values)
    with Step("draw the front") as step:
        charts = [
            trade_off(points, front, chosen, (x, y), metrics)
            for x, y in list(itertools.combinations(heads, 2))[:MOST_PAIRS]
        ]
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(_page(name, points, metrics, front.tolist(), chosen, charts), encoding="utf-8")
        step.outcome = f"{int(front.sum())} of {len(points)} points on the front, point {chosen + 1} chosen"
    return chosen, out


def trade_off(
    points: Sequence[SweepPoint],
    front: Sequence[bool] | np.ndarray,
    chosen: int,
    pair: tuple[str, str],
    metrics: Mapping[str, str],
) -> Markup:
    """Two heads' metrics against each other, one disc a point; the front is joined where it is a curve of
    these two heads alone, the chosen point is filled."""
    across, up = pair
    x, y = (_scale([p.metrics[head] for p in points]) for head in pair)

    def place(point: SweepPoint) -> tuple[float, float]:
        return (
            LEFT + x.share(point.metrics[across]) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - y.share(point.metrics[up]) * (HEIGHT - TOP - BOTTOM),
        )

    parts = list(_axes(x, y, f"{across}, {metrics[across]}", f"{up}, {metrics[up]}"))
    if len(metrics) == 2:
        on_front = sorted(place(p) for p, on in zip(points, front, strict=True) if on)
        parts.append(svg.path(on_front, svg.SERIES[0]))
    for number, (point, on) in enumerate(zip(points, front, strict=True)):
        at = place(point)
        shares = ", ".join(f"{head} {share:.2f}" for head, share in point.shares.items())
        colour = svg.SERIES[0] if on else svg.AXIS
        hint = f"point {number + 1}: {shares}"
        parts.append(svg.dot(*at, 7 if number == chosen else 4.5, colour, hint, hollow=number != chosen))
        below = at[1] < TOP + 14
        parts.append(
            svg.text(
                f"{point.shares[across]:.2f}".lstrip("0"),
                at[0] + 9,
                at[1] + (14 if below else -7),
                size=10,
                fill=svg.SOFT,
            )
        )
    caption = f"Beside each point: the share of {across} in the sum of losses. Filled: the chosen point."
    return svg.figure(WIDTH, HEIGHT, f"{up} against {across}", parts, caption)


class _scale:
    """Values of one axis → share of its length; the range is a little wider than the values."""

    def __init__(self, values: Sequence[float]) -> None:
        spread = max(max(values) - min(values), 1e-3)
        self.low, self.high = min(values) - 0.08 * spread, max(values) + 0.08 * spread
        self.decimals = 3 if spread > 0.02 else 4  # neighbouring marks must not read the same

    def share(self, value: float) -> float:
        """0 at the left or lower end, 1 at the other."""
        return (value - self.low) / (self.high - self.low)


def _axes(x: _scale, y: _scale, across: str, up: str) -> list[Markup]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        at_x, at_y = LEFT + share * (right - LEFT), bottom - share * (bottom - TOP)
        parts += [svg.line(at_x, TOP, at_x, bottom), svg.line(LEFT, at_y, right, at_y)]
        value_x, value_y = x.low + share * (x.high - x.low), y.low + share * (y.high - y.low)
        parts.append(svg.text(f"{value_x:.{x.decimals}f}", at_x, bottom + 15, anchor="middle", fill=svg.SOFT))
        parts.append(svg.text(f"{value_y:.{y.decimals}f}", LEFT - 7, at_y + 4, anchor="end", fill=svg.SOFT))
    parts.append(svg.text(across, (LEFT + right) / 2, HEIGHT - 10, anchor="middle"))
    parts.append(svg.text(up, 14, (TOP + bottom) / 2, anchor="middle", turn=-90))
    return parts


def _page(
    name: str,
    points: Sequence[SweepPoint],
    metrics: Mapping[str, str],
    front: Sequence[bool],
    chosen: int,
    charts: Sequence[Markup],
) -> str:
    heads = list(metrics)
    rows = []
    for number, point in enumerate(points):
        mean = sum(point.metrics.values()) / len(heads)
        mark = badge("ok", "chosen") if number == chosen else badge("", "front") if front[number] else ""
        rows.append(
            [
                number + 1,
                *(round(point.weights[head], 4) for head in heads),
                *(f"{point.metrics[head]:.4f}" for head in heads),
                f"{mean:.4f}",
                mark,
            ]
        )
    headers = ["point", *(f"weight {h}" for h in heads), *(f"{h} ({metrics[h]})" for h in heads), "mean", ""]
    best = points[chosen]
    weights = ", ".join(f"{head} {weight:.3g}" for head, weight in best.weights.items())
    sections = [
        section(
            "Trade-off",
            grid(charts),
            lead="Validation rows, one training a point, without teachers. A point is on the front when no "
            "other is at least as good for every head and better for one. One seed: what lies close together "
            "differs by chance.",
        ),
        section("Points", table(headers, rows, range(len(headers) - 1))),
    ]
    return page(
        f"{name}: loss weights",
        f"Weights with the best mean of the heads: {weights}",
        sections,
        facts=[("Points", len(points)), ("On the front", sum(front)), ("Chosen", chosen + 1)],
    )
