"""The data gate on dataset folders with one defect each: what is said, where it is, and whether it stops."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from expectations.data.check import CheckResult
from expectations.data.gate import DataVerdict, judge_data
from expectations.data.offending_rows import safe_cell, to_csv
from expectations.data.tables import DatasetError
from expectations.known import Known
from expectations.spec import DataRules, Rule
from model.spec import HeadSpec
from report.data_docs import write_data_docs
from tests.support.html import without_own_script

Heads = dict[str, HeadSpec]
Write = Callable[..., Path]
SECRET = "a very private sentence"

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")


def result(judged: DataVerdict, rule: str, head: str | None = None, split: str | None = None) -> CheckResult:
    (found,) = [
        r
        for r in judged.results
        if r.check.rule == rule and r.check.head == head and (split is None or r.check.split == split)
    ]
    return found


def test_sound_data_passes_without_a_finding(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    judged = judge_data(write_dataset(rows, heads), DataRules(), heads, tmp_path / "out")
    assert judged.verdict.outcome == "pass" and judged.verdict.gate == "data"
    assert {r.outcome for r in judged.results} == {"met", "not looked at"}
    assert {r.check.rule for r in judged.results if r.outcome == "not looked at"} == {
        "truncation",
        "unknown_tokens",
        "source_truncation",
        "source_unknown_tokens",
        "drift",
        "language",
        "sources_agree",  # there is one source
        "rows_against_champion",  # there is no champion
        "test_rows_decide",  # its chances are not known
        # nothing of the kind was read
        *("labels_stripped", "number_spellings", "empty_lists", "choices_read"),
        *("joined_labels", "missing_words", "clean_labels"),
    }
    assert judged.offending_totals == {}
    assert pq.read_table(judged.offending_parquet).num_rows == 0


def _no_text(rows: list[Any], at: int) -> None:
    rows[at].text = None


def _blank(rows: list[Any], at: int) -> None:
    rows[at].text = " \t "


def _long(rows: list[Any], at: int) -> None:
    rows[at].text = SECRET + "x" * 20_000


def _damaged(rows: list[Any], at: int) -> None:
    rows[at].text = SECRET + " \ufffd"


def _misread(rows: list[Any], at: int) -> None:
    rows[at].text = SECRET + " caf\u00c3\u00a9"


def _unknown(rows: list[Any], at: int) -> None:
    rows[at].labels = {**rows[at].labels, "topic": ["bil"]}


def _two_labels(rows: list[Any], at: int) -> None:
    rows[at].labels = {**rows[at].labels, "topic": ["bill", "trip"]}


def _two_answers(rows: list[Any], at: int) -> None:
    # Row 0 says bill, and row 4 trip; both are training rows.
    rows[4].text, rows[4].labels = rows[0].text, {**rows[0].labels, "topic": ["trip"]}


def _two_splits(rows: list[Any], at: int) -> None:
    # Row 12 agrees with row 0 on every label, but for the split.
    rows[12].text, rows[12].split = rows[0].text, "test"


@pytest.mark.parametrize(
    ("spoil", "rule", "head", "broken", "value"),
    [
        (_no_text, "text_present", None, 1, "missing"),
        (_blank, "text_not_blank", None, 1, "blank"),
        (_long, "text_length", None, 1, "20023 characters"),
        (_damaged, "text_quality", None, 1, "replacement character"),
        (_misread, "text_quality", None, 1, "misread UTF-8"),
        (_unknown, "labels_known", "topic", 1, "bil"),
        (_two_labels, "multiclass_exactly_one", "topic", 1, "2 labels"),
        (_two_answers, "one_answer", "topic", 2, "1 labels"),
        (_two_splits, "single_split", None, 2, "train"),
    ],
)
def test_a_defect_is_tolerated_named_or_stops(
    spoil: Callable[[list[Any], int], None],
    rule: str,
    head: str | None,
    broken: int,
    value: str,
    rows: list[Any],
    heads: Heads,
    write_dataset: Write,
    tmp_path: Path,
) -> None:
    spoil(rows, 40)
    dataset = write_dataset(rows, heads)
    line = 42 if broken == 1 else 2

    tolerant = replace(DataRules(), **{rule: Rule(severity="critical", tolerance=0.02)})
    kept = judge_data(dataset, tolerant, heads, tmp_path / "kept")
    said = result(kept, rule, head)
    assert (said.outcome, said.count) == ("tolerated", broken)
    assert f"first letters.csv:{line}" in said.reason
    assert said.reason.endswith(f"; tolerated by `expectations.{rule}.tolerance` (now 0.02)")
    assert kept.offending_totals[rule] == broken
    assert not [f for f in kept.verdict.findings if f.outcome == "fail"]

    strict = replace(DataRules(), **{rule: Rule(severity="critical", tolerance=0.001)})
    stopped = judge_data(dataset, strict, heads, tmp_path / "stopped")
    assert result(stopped, rule, head).outcome == "not met"
    assert stopped.verdict.outcome == "fail"
    [reason] = [r for r in stopped.verdict.reasons if f"`expectations.{rule}.tolerance` (now 0.001)" in r]
    assert reason.startswith(f"{broken} of ") and not reason.startswith(rule)
    found = [f for f in pq.read_table(stopped.offending_parquet).to_pylist() if f["rule"] == rule]
    assert len(found) == broken
    assert (found[0]["source"], found[0]["line"], found[0]["head"]) == ("letters", line, head)
    assert found[0]["value"] == value

    warned = replace(DataRules(), **{rule: Rule(severity="warning", tolerance=0.001)})
    assert judge_data(dataset, warned, heads, tmp_path / "warned").verdict.outcome == "pass"

    write_data_docs(stopped)
    for path in (tmp_path / "stopped").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_labels_that_cannot_be_learned(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    for row in rows:
        mood = ["glad"]  # on every row: useless as a label
        if row.split == "test":
            mood = ["cross", "glad"]  # never in a training row
        row.labels = {"topic": row.labels["topic"], "mood": mood}
    judged = judge_data(write_dataset(rows, heads), DataRules(), heads, tmp_path / "out")
    assert result(judged, "informative_labels", "mood").outcome == "not met"
    assert "Label `glad` of `mood` is on all 150 training rows, `cross` on none of 150:" in (
        result(judged, "informative_labels", "mood").reason
    )
    assert "(`cross` on 75 rows)" in result(judged, "unseen_labels", "mood").reason
    assert "(`cross` 0)" in result(judged, "rows_per_label", "mood").reason
    assert result(judged, "two_answers", "mood").outcome == "not met"
    assert result(judged, "informative_labels", "topic").outcome == "met"
    assert {finding.subject for finding in judged.verdict.findings if finding.outcome == "fail"} == {
        "unseen_labels[mood]",
        "two_answers[mood, train]",
    }


def test_a_head_of_a_single_class_stops(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    for row in rows:
        row.labels = {**row.labels, "topic": ["bill"]}
    judged = judge_data(write_dataset(rows, heads), DataRules(), heads, tmp_path / "out")
    assert result(judged, "two_answers", "topic").stops


def test_a_head_without_rows_in_a_split_stops(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    for row in rows:
        if row.split == "test":
            row.labels = {"topic": row.labels["topic"]}
    judged = judge_data(write_dataset(rows, heads), DataRules(), heads, tmp_path / "out")
    assert result(judged, "coverage", "mood", "test").outcome == "not met"
    assert result(judged, "coverage", "mood", "train").outcome == "met"
    assert judged.verdict.reasons[0].startswith("0 test rows are labelled for `mood`, fewer than 20: ")


def test_a_head_that_nothing_labels_is_never_counted_as_met(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    for row in rows:
        row.labels = {"topic": row.labels["topic"]}
    judged = judge_data(write_dataset(rows, heads), DataRules(), heads, tmp_path / "out")
    known = result(judged, "labels_known", "mood")
    assert (
        known.outcome == "could not be evaluated" and "0 rows of `mood` are there to look at" in known.reason
    )


def test_shares_are_of_the_rows_that_a_rule_applies_to(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    for row in rows[:200]:
        row.labels = {"mood": row.labels["mood"]}
    _unknown(rows, 250)
    judged = judge_data(write_dataset(rows, heads), DataRules(), heads, tmp_path / "out")
    known = result(judged, "labels_known", "topic")
    assert (known.count, known.elements, known.observed) == (1, 100, 0.01)


def test_near_duplicates_are_judged_by_their_share(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    judged = judge_data(write_dataset(rows, heads, near_duplicates=6), DataRules(), heads, tmp_path / "out")
    assert result(judged, "near_duplicates").outcome == "tolerated"
    assert result(judged, "near_duplicates").observed == pytest.approx(0.02)
    unasked = judge_data(
        write_dataset(rows, heads, near_duplicates=None, name="off"), DataRules(), heads, tmp_path / "off"
    )
    assert result(unasked, "near_duplicates").outcome == "not looked at"


def test_drift_is_named_and_can_stop(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    old = write_dataset(rows, heads, name="old")
    for row in rows[::2]:
        row.labels = {**row.labels, "topic": ["trip"]}
    rules = DataRules(drift=Rule(severity="critical"), drift_min_rows=50, drift_min_tokens=50)
    champion = json.loads((old / "profile.json").read_text())
    judged = judge_data(
        write_dataset(rows, heads), rules, heads, tmp_path / "out", Known(champion_profile=champion)
    )
    drifted = [r for r in judged.results if r.check.rule == "drift" and r.outcome == "not met"]
    assert {(r.check.head, r.check.split) for r in drifted} >= {("topic", "train")}
    assert {r.check.head for r in drifted} == {"topic"}
    assert "`trip` 33.3% →" in drifted[0].reason
    assert judged.verdict.outcome == "fail"
    same = judge_data(old, rules, heads, tmp_path / "same", Known(champion_profile=champion))
    assert {r.outcome for r in same.results if r.check.rule == "drift"} == {"met"}


def test_expectations_of_ones_own(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    regex = "expect_column_values_to_match_regex"
    extra: tuple[dict[str, Any], ...] = (
        {"type": regex, "kwargs": {"column": "text", "regex": "^message"}},
        {"type": regex, "kwargs": {"column": "text", "regex": "^note"}, "severity": "warning"},
        {"type": "expect_column_values_to_match_regexp", "kwargs": {"column": "text", "regex": "a"}},
        {"type": regex, "kwargs": {"column": "txt", "regex": "a"}, "severity": "warning"},
        {"type": regex, "kwargs": {"column": "text", "rgex": "a"}, "severity": "warning"},
        {"type": regex, "kwargs": {"column": "text", "regex": "("}, "severity": "warning"},
        {
            "type": "expect_column_values_to_be_in_set",
            "kwargs": {"column": "label:mood:glad", "value_set": [True]},
            "tolerance": 0.5,
        },
        {"type": "expect_column_max_to_be_between", "kwargs": {"column": "count:mood", "max_value": 2}},
        {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 301}, "severity": "info"},
        {
            "type": "expect_column_values_to_be_in_set",
            "kwargs": {"column": "file", "value_set": ["letters.csv"]},
            "table": "observations",
        },
    )
    judged = judge_data(write_dataset(rows, heads), DataRules(extra=extra), heads, tmp_path / "out")
    said = [result(judged, f"extra[{at}]") for at in range(len(extra))]
    lost = "could not be evaluated"
    assert [r.outcome for r in said] == [
        "met",
        "not met",
        lost,
        lost,
        lost,
        lost,
        "tolerated",
        "met",
        "not met",
        "met",
    ]
    assert "did you mean `expect_column_values_to_match_regex`?" in said[2].reason
    assert "no column 'txt' (did you mean `text`?)" in said[3].reason
    assert "did you mean `regex`?" in said[4].reason
    # Only the misspelt name is critical.
    [stops] = [finding for finding in judged.verdict.findings if finding.outcome == "fail"]
    assert stops.subject == "expect_column_values_to_match_regexp[text]"
    assert "correct `expectations.extra[2]`" in stops.reason


def test_what_could_not_be_evaluated_is_not_met(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    extra = ({"type": "expect_column_values_to_be_between", "kwargs": {"column": "text", "max_value": 3}},)
    judged = judge_data(write_dataset(rows, heads), DataRules(extra=extra), heads, tmp_path / "out")
    assert result(judged, "extra[0]").outcome == "could not be evaluated"
    assert judged.verdict.outcome == "fail"
    assert "message number" not in json.dumps(judged.to_json())


def test_everything_written_stays_under_out_and_needs_no_network(
    rows: list[Any],
    heads: Heads,
    write_dataset: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hostile = "<script>alert(1)</script>"
    strange = {"mood": HeadSpec(kind="multilabel", labels=("glad", hostile)), "topic": heads["topic"]}
    for row in rows[::3]:
        row.labels = {**row.labels, "mood": [hostile]}
    for row in rows:
        row.labels = {**row.labels, "mood": [x for x in row.labels["mood"] if x != "cross"]}
    rows[9].labels = {**rows[9].labels, "topic": [hostile]}
    dataset, elsewhere = write_dataset(rows, strange), tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(elsewhere))
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    environment = dict(os.environ)
    extra = (
        {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "text", "regex": hostile}},
        {"type": "expect_column_distinct_values_to_be_in_set", "kwargs": {"column": "text", "value_set": []}},
    )
    judged = judge_data(dataset, DataRules(extra=extra), strange, tmp_path / "out")
    write_data_docs(judged)
    assert dict(os.environ) == environment
    assert list(elsewhere.iterdir()) == []
    pages = list((tmp_path / "out").rglob("*.html"))
    assert Path(judged.data_docs) in pages and len(pages) >= 4
    for path in pages:
        html = without_own_script(path.read_text(encoding="utf-8"))
        html = without_own_script(html)
        assert "<script" not in html and "http://" not in html and "https://" not in html, path
        assert "default-src 'none'" in html
        assert "message number" not in html, path
    assert not list((tmp_path / "out").rglob("*.part"))
    kept = json.loads((tmp_path / "out" / "data_verdict.json").read_text())
    assert kept["verdict"]["outcome"] == "fail"


@pytest.mark.parametrize(
    "name", ["profile.json", "observations.parquet", "labels.parquet", "dataset.parquet"]
)
def test_a_broken_folder_is_named(
    name: str, rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    dataset = write_dataset(rows, heads)
    (dataset / name).write_bytes(b"PAR1 not what it should be")
    with pytest.raises(DatasetError, match=name):
        judge_data(dataset, DataRules(), heads, tmp_path / "out")
    (dataset / name).unlink()
    with pytest.raises(DatasetError, match=name):
        judge_data(dataset, DataRules(), heads, tmp_path / "out")


def test_a_missing_column_is_named(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    more = {**heads, "other": HeadSpec(kind="multiclass", labels=("a", "b"))}
    with pytest.raises(DatasetError, match="'conflict:other'"):
        judge_data(write_dataset(rows, heads), DataRules(), more, tmp_path / "out")


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", '=HYPERLINK("x")']
)
def test_no_csv_cell_is_a_formula(cell: str) -> None:
    assert safe_cell(cell) == f"'{cell}"
    (_, row) = csv.reader(io.StringIO(to_csv(["value", "line"], [(cell, 7)]), newline=""))
    assert row[0].startswith("'") and row[1] == "7"


@pytest.mark.parametrize("cell", ["bill", "", "1", "a=b", None])
def test_a_plain_cell_stays_as_it_is(cell: str | None) -> None:
    assert safe_cell(cell) == (cell or "")
