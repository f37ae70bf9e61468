"""What is looked at in texts: HTML, repeats, language; by kind, by row, and never with the text itself."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import expectations.data.texts
from expectations.data.check import Check, CheckResult
from expectations.data.gate import judge_data
from expectations.data.suite import build_suite
from expectations.data.tables import load_profile, load_tables
from expectations.data.texts import DAMAGE, MARKUP, look_at_languages, suspects
from expectations.spec import DataRules, Rule
from model.spec import HeadSpec
from report.data_docs import write_data_docs

Heads = dict[str, HeadSpec]
Write = Callable[..., Path]

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")
needs_detector = pytest.mark.skipif(
    importlib.util.find_spec("py3langid") is None, reason="the extra `language` is not installed"
)

POLISH = "dzień dobry, gdzie jest moja paczka, bardzo proszę o pomoc z zamówieniem"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<b>hot</b>", 1),
        ("line<br/>break", 1),
        ('see <a href="x">this</a>', 1),
        ("a <!-- note", 2),
        ("<!DOCTYPE html", 2),
        ("fish &amp; chips", 3),
        ("caf&#233; or &#xe9;", 3),
        ("1 < 2 > 0", 0),
        ("I <3 you", 0),
        ("AT&T; and R&D", 0),
        ("a <b", 0),
        ("if x<y and y>z", 0),
        ("Q&A; tea & toast;", 0),
    ],
)
def test_markup_by_kind(text: str, kind: int, rows: list[Any], heads: Heads, write_dataset: Write) -> None:
    rows[3].text = text
    dataset = write_dataset(rows[:8], heads)
    assert load_tables(dataset, heads, load_profile(dataset)).kinds["text_markup"].at.tolist() == [
        0,
        0,
        0,
        kind,
        0,
        0,
        0,
        0,
    ]


def test_repeats_are_counted_over_all_sources(rows: list[Any], heads: Heads, write_dataset: Write) -> None:
    for row in (rows[1], rows[5], rows[6]):
        row.text = "the same"
    rows[5].source, rows[6].text, rows[2].text = "mails", " the same ", None
    dataset = write_dataset(rows[:8], heads)
    repeats = load_tables(dataset, heads, load_profile(dataset)).frames["observations"]["repeats"]
    assert repeats.fillna(0).tolist() == [1, 3, 0, 1, 1, 3, 3, 1]


def of(judged: Any, rule: str, head: str | None = None) -> CheckResult:
    (found,) = [r for r in judged.results if r.check.rule == rule and r.check.head == head]
    return found


@needs_detector
def test_text_rules_name_kinds_and_rows(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    for at in (8, 12):
        rows[at].text = f"<p>number {at}</p> and so on"
    rows[16].text = "fish &amp; chips with salt"
    for at in (20, 21, 22):
        rows[at].text, rows[at].split, rows[at].labels = "test test test", "train", rows[20].labels
    rows[30].text = POLISH
    rows[40].text, rows[41].text = "bell \x07 rings", "two \ufffd\ufffd"
    rules = DataRules(
        markup=Rule(severity="critical", tolerance=0.001),
        repeated_text=Rule(severity="warning", tolerance=0.001),
        max_repeats=2,
        languages=("en",),
    )
    judged = judge_data(write_dataset(rows, heads), rules, heads, tmp_path / "out")
    assert of(judged, "markup").stops and of(judged, "markup").count == 3
    assert "(tag 2, entity 1)" in of(judged, "markup").reason
    assert (of(judged, "repeated_text").outcome, of(judged, "repeated_text").count) == ("not met", 3)
    assert "(replacement character 1, control character 1)" in of(judged, "text_quality").reason
    language = of(judged, "language")
    assert (language.outcome, language.count) == ("tolerated", 1)
    assert "(pl 1)" in language.reason
    found = pq.read_table(judged.offending_parquet).to_pylist()
    told = {(f["rule"], f["line"], f["value"]) for f in found}
    assert {
        ("markup", 10, "HTML tag"),
        ("markup", 18, "HTML entity"),
        ("repeated_text", 22, "3 times"),
        ("repeated_text", 24, "3 times"),
        ("language", 32, "pl"),
        ("text_quality", 42, "control character"),
    } <= told
    write_data_docs(judged)
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"paczka" not in path.read_bytes(), path


@needs_detector
def test_languages_of_a_seeded_sample_that_the_order_of_rows_does_not_change(
    rows: list[Any], heads: Heads, write_dataset: Write
) -> None:
    for at in range(0, 300, 3):
        rows[at].text = f"{POLISH} {at}"
    rows[4].text = rows[7].text = "ok"  # too short to be sure of

    def polish(name: str, order: list[Any], sample: int, seed: int = 17) -> set[str]:
        dataset = write_dataset(order, heads, name=name)
        found = look_at_languages(dataset, ["en"], sample, seed)
        assert found.unexpected is not None and found.kinds is not None
        assert found.unexpected.notna().sum() <= sample
        assert found.kinds.names == ("pl",)
        return {order[at].text for at in (found.kinds.at == 1).nonzero()[0]}

    every = polish("all", rows, 1000)
    assert every == {row.text for row in rows if row.text.startswith(POLISH)}
    drawn = polish("some", rows, 60)
    assert 5 < len(drawn) < 40 and drawn == polish("turned", rows[::-1], 60)
    assert drawn != polish("other", rows, 60, seed=18)


def test_language_is_not_looked_at_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no language is expected" in str(look_at_languages(tmp_path, [], 10, 1).skipped)
    monkeypatch.setattr(expectations.data.texts, "DETECTOR", "no_such_detector")
    absent = look_at_languages(tmp_path, ["en"], 10, 1)
    assert absent.skipped is not None and 'pip install "headgate[language]"' in absent.skipped
    checks = build_suite(DataRules(languages=("en",)), {}, {}, languages=absent)
    (check,) = [check for check in checks if check.rule == "language"]
    assert check.skipped == absent.skipped


@needs_detector
def test_a_language_that_the_detector_does_not_know_cannot_be_evaluated(tmp_path: Path) -> None:
    found = look_at_languages(tmp_path, ["english"], 10, 1)
    assert found.problem is not None and "does not know 'english'" in found.problem
    check: Check = next(
        check for check in build_suite(DataRules(), {}, {}, languages=found) if check.rule == "language"
    )
    assert check.problem == found.problem and check.skipped is None


SIGNS = [*"aé<>&;/ =#\t\n\x00\x1b\x7f\ufffd\uff01ÃÂâ€\x80\xa0¿日"]


@settings(deadline=None)
@given(st.lists(st.none() | st.text(st.sampled_from(SIGNS)), max_size=20))
def test_no_text_that_fits_a_pattern_is_passed_over(texts: list[str | None]) -> None:
    array = pa.array([None, *texts, "x"], pa.string())[1:]  # with an offset
    rows = set(suspects(array).tolist())
    for pattern in (*DAMAGE.values(), *MARKUP.values()):
        fits = pc.fill_null(pc.match_substring_regex(array, pattern), False).to_pylist()
        assert {at for at, fit in enumerate(fits) if fit} <= rows
