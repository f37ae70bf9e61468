"""The page of a sweep: the chosen point, and figures that can be told apart however near they lie."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from model.references import SweepPoint
from report.charts.trade_off import trade_off_chart
from report.sweep import write_sweep_page
from tests.support.html import assert_inert

METRICS = {"topic": "accuracy", "tone": "macro_f1"}


def _points(first: tuple[float, float], second: tuple[float, float]) -> list[SweepPoint]:
    return [
        SweepPoint(
            shares={"topic": share, "tone": 1 - share},
            weights={"topic": share, "tone": 1 - share},
            metrics={"topic": topic, "tone": tone},
            seconds=1.0,
        )
        for share, (topic, tone) in zip((0.3, 0.7), (first, second), strict=True)
    ]


@pytest.mark.parametrize("apart", [0.0006, 0.0026, 0.01, 0.3])
def test_marks_of_an_axis_are_all_different(apart: float) -> None:
    points = _points((0.5, 0.5 + apart), (0.5 + apart, 0.5))
    chart = str(trade_off_chart(points, np.array([True, True]), 0, ("topic", "tone"), METRICS))
    for anchor in ("middle", "end"):  # below the horizontal axis, beside the vertical one
        marks = re.findall(rf"text-anchor: {anchor}[^>]*>(\d\.\d+)</text>", chart)
        assert len(marks) >= 3 and len(set(marks)) == len(marks)


def test_the_page_shows_the_chosen_point(tmp_path: Path) -> None:
    points = _points((0.5, 0.7), (0.7, 0.6))
    out = tmp_path / "reports" / "sweep.html"
    assert write_sweep_page("support", points, METRICS, out=out) == (1, 2)
    html = out.read_text(encoding="utf-8")
    assert_inert(html)
    for shown in (
        "topic 0.7, tone 0.3",
        "tone against topic",
        "Weight of topic",
        "tone: macro_f1",
        "chosen",
        "0.6500",
    ):
        assert shown in html, shown


def test_several_pairs_of_heads_are_drawn_and_not_joined() -> None:
    points = [
        SweepPoint(
            weights=dict.fromkeys("abc", 1.0), shares=dict.fromkeys("abc", 1 / 3), metrics=m, seconds=1.0
        )
        for m in ({"a": 0.1, "b": 0.2, "c": 0.3}, {"a": 0.2, "b": 0.1, "c": 0.3})
    ]
    metrics = dict.fromkeys("abc", "accuracy")
    front = np.array([True, True])
    chart = trade_off_chart(points, front, 0, ("a", "b"), metrics)
    assert "fill: none; stroke: var(--series-1)" not in chart
