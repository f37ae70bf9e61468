"""Charts: well formed, titled, inert, the page's colours, text as it was given, equal bytes every time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from markupsafe import Markup

from expectations.gates.figures import FindingFigures, figures_of
from expectations.verdict import Finding, Outcome
from model.references import SweepPoint
from report.charts.bars import bar_chart
from report.charts.chart import STYLE, short
from report.charts.histogram import histogram
from report.charts.intervals import has_intervals, interval_chart
from report.charts.latency import latency_chart
from report.charts.lines import line_chart
from report.charts.matrix import confusion_chart, heat_map
from report.charts.trade_off import trade_off_chart
from report.page import palette, style_sheet
from tests.support.html import HOSTILE, assert_inert

MATH = r"$x^2$ a_b \alpha \$5"
STRANGE = "日本語 \x00\x0b \ud800 🦊\nnext"


def judged(outcome: Outcome = "pass", subject: str = HOSTILE) -> Finding:
    figures = {"shared": 0.8, "shared_lower": 0.78, "shared_upper": 0.82}
    figures |= {"baseline": 0.79, "baseline_lower": 0.77, "baseline_upper": 0.81}
    figures |= {"difference": 0.01, "lower": -0.01, "upper": 0.03, "margin": 0.015, "n": 1800}
    return Finding(subject=subject, outcome=outcome, reason="seen", figures=figures | {"metric": "accuracy"})


def finding(outcome: Outcome = "pass", subject: str = HOSTILE) -> FindingFigures:
    return figures_of(judged(outcome, subject))


def point(x: float, y: float) -> SweepPoint:
    heads = {HOSTILE: x, MATH: y}
    return SweepPoint(weights=heads, shares=heads, metrics=heads, seconds=1.0)


CHARTS: dict[str, Callable[[], Markup]] = {
    "bars": lambda: bar_chart(
        HOSTILE, ["a", HOSTILE], {"now": [0.5, 0.0], HOSTILE: [None, 0.2]}, unit="share of rows"
    ),
    "no bars": lambda: bar_chart("empty", [], {}, unit="rows"),
    "bars of nothing": lambda: bar_chart("zero", ["a"], {"now": [0.0]}, unit="rows"),
    "bars of odd names": lambda: bar_chart(
        MATH, [MATH, STRANGE, "x" * 60], {STRANGE: [1, 2, 3], MATH: [1, 2, 3]}, unit=MATH
    ),
    "histogram": lambda: histogram(
        HOSTILE, [1, 10, 100], [5, 0], unit="characters", then=([1, 50, 200], [1, 2]), marks={HOSTILE: 20.0}
    ),
    "histogram of nothing": lambda: histogram("zero", [1, 2], [0], unit="characters"),
    "histogram from zero": lambda: histogram("zero", [0, 2, 8], [1, 3], unit="tokens"),
    "heat map": lambda: heat_map(HOSTILE, ["a", HOSTILE], [[1, 0.4], [0.1, 1]], unit=HOSTILE),
    "heat map of one": lambda: heat_map("one", ["a"], [[1]], unit="share"),
    "heat map of the unknown": lambda: heat_map("?", ["a", MATH], [[1, np.nan], [np.nan, 1]], unit="share"),
    "confusion": lambda: confusion_chart(HOSTILE, [STRANGE, MATH], np.array([[5, 1], [0, 1234]])),
    "confusion of nothing": lambda: confusion_chart("t", ["a", "b"], np.zeros((2, 2), dtype=np.int64)),
    "lines": lambda: line_chart(
        HOSTILE, {HOSTILE: [(1, 0.5), (2, 0.6)], MATH: []}, x=MATH, y=STRANGE, dots=True
    ),
    "latency": lambda: latency_chart({"shared": np.arange(1.0, 50.0), HOSTILE: np.array([3.0])}),
    "intervals": lambda: interval_chart([finding(), finding(subject=STRANGE * 9)]),
    "trade-off": lambda: trade_off_chart(
        [point(0.5, 0.6), point(0.7, 0.4)],
        np.array([True, True]),
        1,
        (HOSTILE, MATH),
        {HOSTILE: "accuracy", MATH: STRANGE},
    ),
}


def written(chart: object) -> list[str]:
    """Text that the chart shows, with what the mouse shows left out."""
    return [one.text or "" for one in ET.fromstring(str(chart)).iter("text")]


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_well_formed_titled_and_inert(name: str) -> None:
    svg = str(CHARTS[name]())
    root = ET.fromstring(svg)
    (image,) = root.iter("svg")
    assert image.get("aria-label")
    for element in root.iter():
        for key in ("x", "y", "width", "height"):
            value = element.get(key)
            assert value is None or np.isfinite(float(value))
    assert_inert(svg)
    assert "nan" not in " ".join(element.get("d", "") for element in root.iter())


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_leaves_the_rest_of_the_page_alone(name: str) -> None:
    svg = str(CHARTS[name]())
    root = ET.fromstring(svg)
    assert {one.tag for one in root.iter("svg")} == {"svg"}
    assert not [one for one in root.iter() if one.get("id") or one.tag in ("style", "defs", "image")]
    assert "url(" not in svg and "font-family" not in svg


@pytest.mark.parametrize("name", CHARTS)
def test_every_colour_is_one_that_the_page_names_light_and_dark(name: str) -> None:
    svg = str(CHARTS[name]())
    assert set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg)) - {"none"} <= {
        f"var(--{role})" for role in palette()
    }


def test_the_page_names_each_colour_once_light_and_once_dark() -> None:
    light, _, rest = style_sheet().partition("@media screen and (prefers-color-scheme: dark)")
    dark = rest.partition("\n}\n")[0]
    assert (
        set(re.findall(r"--([\w-]+): #", light)) == set(re.findall(r"--([\w-]+): #", dark)) == set(palette())
    )
    assert len(set(palette().values())) == len(palette()), "a chart's colour must lead to one role"
    styled = re.findall(r"\b[0-9a-f]{6}\b", STYLE.read_text())
    assert styled and {f"#{one}" for one in styled} <= set(palette().values())


def test_names_are_shown_as_they_are_written() -> None:
    shown = written(bar_chart("t", [MATH, "<b>&"], {MATH: [1, 2], "b_c": [2, 1]}, unit="$rows$"))
    assert {MATH, "<b>&", "b_c", "$rows$"} <= set(shown)


def test_a_long_name_is_cut_and_shown_in_full_under_the_mouse() -> None:
    name = "an unexpected charge on the card of a customer"
    chart = str(bar_chart("t", [name], {"now": [1]}, unit="rows"))
    hints = [one.text for one in ET.fromstring(chart).iter("title")]
    assert (
        any(short(name, 30) in text for text in written(chart))
        and name in hints
        and f"{name}, now: 100%" in hints
    )


@pytest.mark.parametrize(
    ("text", "most", "expected"), [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 5, "日本…")]
)
def test_names_are_cut_by_their_width(text: str, most: int, expected: str) -> None:
    assert short(text, most) == expected


def test_bars_are_as_long_as_their_values() -> None:
    root = ET.fromstring(str(bar_chart("t", ["a", "b"], {"now": [0.4, 0.2]}, unit="share")))
    bars = [one.get("d", "") for one in root.iter("path") if one.find("title") is not None]
    first, second = (np.ptp([float(x) for x in re.findall(r"[ML] (\S+)", d)]) for d in bars)
    assert first == pytest.approx(2 * second, rel=0.01)


def test_a_line_chart_leaves_out_what_is_not_finite() -> None:
    chart = line_chart("t", {"a": [(1, 0.5), (2, float("nan")), (3, 0.7)]}, x="epoch", y="loss", dots=True)
    assert chart.count("<title>") == 2 and "nan" not in chart
    assert "nothing was recorded" in line_chart("t", {"a": [(1, float("inf"))]}, x="epoch", y="loss")


def test_several_series_have_a_legend() -> None:
    assert {"shared", "baseline"} <= set(
        written(line_chart("t", {"shared": [(1, 2)], "baseline": [(1, 3)]}, x="epoch", y="loss"))
    )


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_has_its_colour(outcome: Outcome) -> None:
    role = {"pass": "good", "fail": "bad", "inconclusive": "caution"}[outcome]
    assert f"var(--{role})" in interval_chart([finding(outcome)])


def test_a_finding_with_a_gap_is_not_drawn() -> None:
    whole = judged()
    assert has_intervals(figures_of(whole))
    for name in whole.figures:
        gap = replace(whole, figures={**whole.figures, name: None})
        assert has_intervals(figures_of(gap)) == (name in ("metric", "n"))


def test_equal_figures_give_equal_bytes_in_every_process(tmp_path: Path) -> None:
    """Whatever the hash seed, the time, and the reader's own matplotlib settings."""
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.grid: True\nlines.linewidth: 9\n")
    names = ("bars", "lines", "intervals")
    code = f"from tests.report.test_charts import CHARTS; print(ascii([str(CHARTS[n]()) for n in {names}]))"
    root = Path(__file__).parents[2]
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(root), "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed, folder in (("1", root), ("2", tmp_path))
    }
    assert len(found) == 1
    assert found == {f"{[str(CHARTS[n]()) for n in names]!a}\n".encode()}


def test_matplotlib_is_loaded_only_when_a_page_is_drawn() -> None:
    rooms = "report.release.gather, report.quality.page, report.sweep, report.suspects, report.override"
    code = f"import sys, {rooms}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
