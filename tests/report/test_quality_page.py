"""The data quality page and its parts: what it shows, what it never shows, and that it is inert."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from expectations.data.check import RuleOutcome
from expectations.data.gate import judge_data
from expectations.known import Known
from expectations.spec import DataRules
from expectations.stats.cooccurrence import cooccurrence
from model.spec import SPLITS, HeadSpec
from report.page import badge, cell_text, page, section, table
from report.quality.page import write_quality_page
from tests.support.html import HOSTILE, assert_inert

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")


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


@pytest.mark.parametrize("outcome", get_args(RuleOutcome))
def test_every_outcome_of_a_rule_has_a_tone(outcome: RuleOutcome) -> None:
    assert ("neutral" in badge(outcome)) == (outcome == "not looked at")


def test_markup_is_kept() -> None:
    assert "<b>x</b>" in page("t", "s", [section("a", Markup("<b>x</b>"))])


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
    judged = judge_data(
        dataset, rules, heads, tmp_path / "out", Known(champion_profile=old, token_lengths=tokens)
    )
    path = write_quality_page(
        dataset,
        judged,
        tmp_path / "out" / "quality.html",
        title=f"Data quality: {HOSTILE}",
        known=Known(champion_profile=old, token_lengths=tokens),
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


@pytest.mark.parametrize("knows_bytes", [False, True])
def test_the_page_shows_which_tokens_the_encoder_does_not_know(
    rows: list[Any], heads: dict[str, HeadSpec], write_dataset: Any, tmp_path: Path, knows_bytes: bool
) -> None:
    counts = {"rows": 40, "truncated": 10, "tokens": 400, "unknown": 100, "unread": 7}
    lengths = {"median": 9.0, "p95": 20, "max": 30, "histogram": {"edges": [1, 10, 40], "counts": [6, 4]}}
    splits = dict.fromkeys(SPLITS, counts)
    tokens = {
        "max_length": 16,
        "unknown_token": not knows_bytes,
        "splits": {split: counts | lengths for split in SPLITS},
        "heads": {"topic": splits, "mood": splits},
        "sources": {"letters": splits, "chats": splits},
    }
    dataset = write_dataset(rows, heads)
    judged = judge_data(dataset, DataRules(), heads, tmp_path / "out", Known(token_lengths=tokens))
    html = write_quality_page(
        dataset, judged, tmp_path / "quality.html", known=Known(token_lengths=tokens)
    ).read_text(encoding="utf-8")
    assert ("it has no unknown words" in html) == knows_bytes
    assert ("Tokens that the encoder does not know" in html) != knows_bytes
    if not knows_bytes:
        assert "chats" in html and "1,200" in html and "25.0%" in html  # three splits of 400 tokens each


def test_rows_that_the_champion_knows_are_said_where_there_are_some(
    rows: list[Any], heads: dict[str, HeadSpec], write_dataset: Any, tmp_path: Path
) -> None:
    dataset = write_dataset(rows, heads)
    judged = judge_data(dataset, DataRules(), heads, tmp_path / "out")
    out = tmp_path / "out" / "quality.html"
    title = "Test rows that the champion knows"
    assert title not in write_quality_page(dataset, judged, out).read_text(encoding="utf-8")
    said = write_quality_page(dataset, judged, out, known=Known(champion_rows="3 of the 9")).read_text(
        encoding="utf-8"
    )
    assert title in said and "3 of the 9" in said
