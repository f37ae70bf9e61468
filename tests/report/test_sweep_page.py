"""The page of a sweep: figures can be told apart, however near to each other they lie."""

from __future__ import annotations

import re

import pytest

from model.jobs.sweep import SweepPoint
from report.sweep import trade_off


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
    chart = str(
        trade_off(points, [True, True], 0, ("topic", "tone"), {"topic": "accuracy", "tone": "accuracy"})
    )
    marks = re.findall(r">(0\.\d+)</text>", chart)
    assert len(marks) == 10
    # both axes have the same range here, so each mark is there twice
    assert len(set(marks)) == 5
