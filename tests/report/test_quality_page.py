"""The data quality page and its parts: what it shows, what it never shows, and that it is inert."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from expectations.data.gate import judge_data
from expectations.spec import DataRules
from expectations.stats.cooccurrence import cooccurrence
from model.spec import SPLITS, HeadSpec
from report.charts.bars import bar_chart, heat_map, histogram
from report.page import badge, cell_text, page, section, table
from report.quality.page import write_quality_page

HOSTILE = "<img src=x onerror=alert(1)>\"'&"

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and whether all that need it are closed."""

    VOID = frozenset({"meta", "br", "wbr", "img", "link", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(html: str) -> Tags:
    parser = Tags()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def assert_inert(html: str) -> None:
    """No script, no handler, nothing fetched."""
    for tag, attributes in tags(html).found:
        assert tag not in {"script", "iframe", "object", "embed", "link", "img", "form", "base"}
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        assert not str(attributes.get("href", "#")).startswith(("http", "//", "javascript"))


@given(st.text(max_size=40))
def test_whatever_is_handed_in_is_text(text: str) -> None:
    html = page(
        text, text, [section(text, table([text], [[text]]), lead=text)], outcome=text, facts=[(text, text)]
    )
    assert_inert(html)


def test_a_table_aligns_and_writes_figures() -> None:
    html = table(
        ["name", "n"], [["a", 1234567], ["b", None], ["c", 0.123456], ["d", float("inf")]], numeric={1}
    )
    assert '<td class="num">1,234,567</td>' in html
    assert '<td class="num">–</td>' in html and '<td class="num">0.1235</td>' in html
    assert '<td class="num">inf</td>' in html
    assert "Nothing to list." in table(["a"], [])


@pytest.mark.parametrize(("value", "text"), [(True, "yes"), (12345.6, "12,346"), (0.0, "0"), ("<", "&lt;")])
def test_cells(value: object, text: str) -> None:
    assert cell_text(value) == text


def test_a_badge_has_a_tone_for_what_it_knows() -> None:
    assert 'class="badge good"' in badge("pass")
    assert 'class="badge bad"' in badge("not met")
    assert 'class="badge neutral"' in badge(HOSTILE) and "<img" not in badge(HOSTILE)


def test_markup_is_kept() -> None:
    assert "<b>x</b>" in page("t", "s", [section("a", Markup("<b>x</b>"))])


CHARTS: dict[str, Callable[[], Markup]] = {
    "bars": lambda: bar_chart(
        HOSTILE, ["a", HOSTILE], {"now": [0.5, 0.0], HOSTILE: [None, 0.2]}, unit="share of rows"
    ),
    "no bars": lambda: bar_chart("empty", [], {}, unit="rows"),
    "bars of nothing": lambda: bar_chart("zero", ["a"], {"now": [0.0]}, unit="rows"),
    "histogram": lambda: histogram(
        HOSTILE, [1, 10, 100], [5, 0], unit="characters", then=([1, 50, 200], [1, 2]), marks={HOSTILE: 20.0}
    ),
    "histogram of nothing": lambda: histogram("zero", [1, 2], [0], unit="characters"),
    "heat map": lambda: heat_map(HOSTILE, ["a", HOSTILE], [[1, 0.4], [0.1, 1]], unit=HOSTILE),
    "heat map of one": lambda: heat_map("one", ["a"], [[1]], unit="share"),
}


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


def test_bars_are_as_long_as_their_values() -> None:
    root = ET.fromstring(str(bar_chart("t", ["a", "b"], {"now": [0.4, 0.2]}, unit="share")))
    first, second = (float(rect.get("width", "")) for rect in root.iter("rect"))
    assert first == pytest.approx(2 * second, rel=0.01)


def test_cooccurrence_by_hand(make_row: Any, write_dataset: Any) -> None:
    heads = {"mood": HeadSpec(kind="multilabel", labels=("glad", "cross", "calm"))}
    cells = [["glad"], ["cross", "glad"], ["glad", "cross"], ["glad"], [], None]
    rows = [
        make_row(f"text {i}", "train", {} if cell is None else {"mood": cell}) for i, cell in enumerate(cells)
    ]
    found = cooccurrence(write_dataset(rows, heads), "mood", heads["mood"].labels)
    assert found.tolist() == [[1, 0.5, 0], [1, 1, 0], [0, 0, 0]]


def test_cooccurrence_is_over_texts_that_know_both_labels(make_row: Any, write_dataset: Any) -> None:
    heads = {"mood": HeadSpec(kind="multilabel", labels=("glad", "cross", "calm"))}
    cells = [["glad"], ["glad"], ["cross", "glad"], ["calm"]]
    dataset = write_dataset([make_row(f"text {i}", "train", {"mood": c}) for i, c in enumerate(cells)], heads)
    path = dataset / "dataset.parquet"
    rows = pq.read_table(path)
    # One of the two glad rows says nothing of `cross`; no row that says anything of `calm` knows `glad`.
    unknown = {"text 0": ["cross", "calm"], "text 1": ["calm"], "text 2": ["calm"], "text 3": ["glad"]}
    column = pa.array([unknown[text] for text in rows["text"].to_pylist()], pa.list_(pa.string()))
    pq.write_table(rows.append_column("unknown:mood", column), path)
    found = cooccurrence(dataset, "mood", heads["mood"].labels)
    nan = float("nan")
    np.testing.assert_array_equal(found, [[1, 0.5, nan], [1, 1, nan], [nan, 0, 1]])


def test_the_page_shows_what_was_found_and_never_a_text(
    rows: list[Any], make_row: Any, write_dataset: Any, tmp_path: Path
) -> None:
    heads = {
        "topic": HeadSpec(kind="multiclass", labels=("bill", "trip", HOSTILE)),
        "mood": HeadSpec(kind="multilabel", labels=("glad", HOSTILE)),
    }
    for i, row in enumerate(rows):
        row.text = f"{row.text} private {HOSTILE}"
        row.labels = {"topic": [heads["topic"].labels[i // 4 % 3]], "mood": [["glad"], [HOSTILE]][i // 4 % 2]}
    old = json.loads((write_dataset(rows, heads, name="old") / "profile.json").read_text())
    rows[3].labels = {"topic": ["=cmd|' /C calc'!A0"], "mood": []}
    rows += [make_row(None, "train", {}, HOSTILE, f"{HOSTILE}.csv")]
    dataset = write_dataset(rows, heads)
    tokens = {
        "max_length": 16,
        "splits": {
            s: {"rows": 10, "truncated": 1, "median": 9.0, "p95": 20, "max": 30}
            | {"histogram": {"edges": [1, 10, 40], "counts": [6, 4]}}
            for s in SPLITS
        },
    }
    rules = DataRules(drift_min_rows=50)
    judged = judge_data(dataset, rules, heads, tmp_path / "out", old, tokens)
    path = write_quality_page(
        dataset,
        judged,
        tmp_path / "out" / "quality.html",
        title=f"Data quality: {HOSTILE}",
        champion_profile=old,
        token_lengths=tokens,
    )
    html = path.read_text(encoding="utf-8")
    assert_inert(html)
    html = html.replace("<wbr>", "")
    assert "private" not in html and "message number" not in html
    for shown in (
        "data rejected",
        "What stops this run",
        "labels_known[topic]",
        "letters.csv:5",
        "champion&#39;s training rows",
        "cut at 16",
        "PSI",
        "labels on the same text",
        "Entropy, bits",
    ):
        assert shown in html, shown
    text = Path(judged.offending_csv).read_text(encoding="utf-8")
    assert "'=cmd" in text and '"=cmd' not in text


def test_a_first_run_says_that_there_is_nothing_to_compare_with(
    rows: list[Any], heads: dict[str, HeadSpec], write_dataset: Any, tmp_path: Path
) -> None:
    dataset = write_dataset(rows, heads)
    judged = judge_data(dataset, DataRules(), heads, tmp_path / "out")
    html = write_quality_page(dataset, judged, tmp_path / "out" / "quality.html").read_text(encoding="utf-8")
    assert "Nothing to compare with" in html and "data accepted" in html
    assert "No offending rows." in html and "What to look at" not in html
