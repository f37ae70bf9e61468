"""Rules over the labels of each head and split, and where two answers of one text come from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from expectations.data.check import CheckResult
from expectations.data.gate import judge_data
from expectations.known import Known
from expectations.spec import DataRules, Rule
from model.spec import HeadSpec

Heads = dict[str, HeadSpec]
Write = Callable[..., Path]

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")


def of(judged: Any, rule: str, head: str, split: str | None = None) -> CheckResult:
    (found,) = [
        r
        for r in judged.results
        if r.check.rule == rule and r.check.head == head and split in (None, r.check.split)
    ]
    return found


def test_skewed_labels_are_named_by_head_and_split(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    """Of 75 test rows 74 say bill and one trip; other never; mood holds both labels on every test row."""
    test = [row for row in rows if row.split == "test"]
    for row in test:
        row.labels = {"topic": ["bill"], "mood": ["cross", "glad"]}
    test[0].labels = {"topic": ["trip"], "mood": ["cross", "glad"]}
    for row in rows:
        if row.split == "validation":
            row.labels = {"topic": row.labels["topic"]}
    rules = DataRules(
        max_imbalance=50, min_labelled_share=0.4, label_entropy=Rule(severity="critical"), min_cardinality=1.5
    )
    judged = judge_data(write_dataset(rows, heads), rules, heads, tmp_path / "out")
    ratio = of(judged, "imbalance", "topic", "test")
    assert (ratio.outcome, ratio.observed) == ("not met", pytest.approx(74))
    assert "74 seen, at most 50 expected: 'bill' on 74 rows, 'trip' on 1" in ratio.reason
    assert of(judged, "imbalance", "topic", "train").outcome == "met"
    # H(1/75) = (log2 75 + 74 log2(75/74)) / 75 = 0.1022 bits, of log2 3 = 1.585.
    entropy = of(judged, "label_entropy", "topic", "test")
    assert entropy.stops and entropy.observed == pytest.approx(0.1021580 / math.log2(3), abs=1e-6)
    assert "0.0645 seen, at least 0.2 expected" in judged.verdict.reasons[-1] + entropy.reason
    full = of(judged, "label_density", "mood", "test")
    assert (full.outcome, full.observed) == ("not met", 1.0)
    assert of(judged, "label_cardinality", "mood", "test").outcome == "met"
    # A third of the training rows each holds no, one and two labels.
    assert of(judged, "label_cardinality", "mood", "train").observed == pytest.approx(1.0)
    assert of(judged, "label_cardinality", "mood", "train").outcome == "not met"
    share = of(judged, "labelled_share", "mood", "validation")
    assert (share.outcome, share.observed) == ("not met", 0.0)
    assert of(judged, "label_entropy", "mood", "validation").outcome == "not looked at"
    missing = of(judged, "labels_in_every_split", "topic", "test")
    assert (missing.outcome, missing.count) == ("not met", 1) and "'other'" in missing.reason
    assert of(judged, "labels_in_every_split", "topic", "validation").outcome == "met"
    found = pq.read_table(judged.offending_parquet).to_pylist()
    assert ("labels_in_every_split", "topic", "other (test)") in {
        (f["rule"], f["head"], f["value"]) for f in found
    }
    assert {r.check.rule for r in judged.results if r.check.head == "topic"}.isdisjoint(
        {"label_density", "label_cardinality"}
    )


def test_labels_that_look_alike_are_named(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    written_twice = HeadSpec(kind="multiclass", labels=("bill", "Bill ", "trip", "other"))
    heads = {**heads, "topic": written_twice}
    judged = judge_data(write_dataset(rows, heads), DataRules(), heads, tmp_path / "out")
    found = of(judged, "look_alike_labels", "topic")
    assert (found.outcome, found.check.severity, found.count, found.elements) == ("not met", "warning", 2, 4)
    assert "'bill', 'Bill '" in found.reason
    assert of(judged, "look_alike_labels", "mood").outcome == "met"


def test_conflicts_within_and_between_sources_are_told_apart(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    for row in rows[200:]:
        row.source, row.file = "mails", "mails.csv"
    # Rows 0 and 4 of one source contradict each other; so do row 12 of one and row 204 of the other.
    rows[4].text, rows[4].labels = rows[0].text, {**rows[0].labels, "topic": ["trip"]}
    rows[204].text, rows[204].labels = rows[12].text, {**rows[12].labels, "topic": ["other"]}
    rows[204].split = rows[12].split
    dataset = write_dataset(rows, heads)
    judged = judge_data(dataset, DataRules(), heads, tmp_path / "out")
    assert of(judged, "one_answer", "topic").count == 4
    assert of(judged, "sources_consistent", "topic").count == 2
    assert of(judged, "sources_agree", "topic").count == 2
    assert of(judged, "sources_agree", "mood").outcome == "met"
    found = pq.read_table(judged.offending_parquet).to_pylist()
    places = {(f["rule"], f["source"], f["line"]) for f in found}
    assert {p for p in places if p[0] != "one_answer"} == {
        ("sources_consistent", "letters", 2),
        ("sources_consistent", "letters", 6),
        ("sources_agree", "letters", 14),
        ("sources_agree", "mails", 206),
    }


def test_a_dataset_from_before_is_judged_as_far_as_it_goes(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    dataset = write_dataset(rows, heads)
    (dataset / "words.parquet").unlink()
    profile = json.loads((dataset / "profile.json").read_text())
    del profile["vocabulary"]
    for head in profile["heads"].values():
        for split in head["splits"].values():
            for name in ("coverage", "imbalance", "normalised_entropy", "density"):
                del split[name]
    (dataset / "profile.json").write_text(json.dumps(profile))
    table = pq.read_table(dataset / "observations.parquet")
    kept = [
        name for name in table.column_names if not name.startswith(("conflict_within", "conflict_between"))
    ]
    pq.write_table(table.select(kept), dataset / "observations.parquet")
    judged = judge_data(dataset, DataRules(), heads, tmp_path / "out", Known(champion_profile=profile))
    assert judged.verdict.outcome == "pass"
    skipped = {r.check.rule for r in judged.results if r.outcome == "not looked at"}
    assert skipped >= {"imbalance", "label_entropy", "labelled_share", "sources_consistent", "drift"}
    assert any("the champion's words are not known" in r.reason for r in judged.results)
