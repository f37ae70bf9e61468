"""Gates on parts of the test rows: a slice can fail where the whole passes, and too few rows never pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from expectations.gates.scores import HeadScores
from expectations.gates.slices import judge_slices
from expectations.spec import GateRules, SliceRule
from expectations.verdict import Finding
from model.spec import HeadSpec

HEADS = {"topic": HeadSpec(kind="multiclass", labels=("a", "b"))}
N = 1000


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """1,000 test rows: 800 from letters, 200 from calls; every tenth German; ten rows of a rare dialect;
    200 short texts. Training rows stand between them and must not count."""
    languages = ["de" if i % 10 == 0 else "gsw" if 500 < i <= 510 else "en" for i in range(N)]
    rows = {
        "text": ["x" * (20 if i < 200 else 80) for i in range(N)],
        "split": ["test"] * N,
        "group": [None] * N,
        "origins": [[{"source": "letters" if i < 800 else "calls", "line": i}] for i in range(N)],
        "column:language": languages,
        "head:topic": ["ab"[i % 2] for i in range(N)],
    }
    frame = pl.DataFrame(rows, schema_overrides={"group": pl.String})
    train = frame.with_columns(split=pl.lit("train"), text=pl.lit("y"))
    pl.concat([train.head(50), frame, train.tail(50)]).write_parquet(tmp_path / "dataset.parquet")
    return tmp_path


def answers(wrong: np.ndarray[Any, Any] | None = None) -> HeadScores:
    """Right but for the rows that are given."""
    targets = (np.arange(N) % 2).astype(np.int32)
    decisions = targets.copy()
    if wrong is not None:
        decisions[wrong] = 1 - decisions[wrong]
    return HeadScores(kind="multiclass", labels=("a", "b"), targets=targets, decisions=decisions)


def judged(dataset: Path | None, shared: HeadScores, *slices: SliceRule) -> dict[str, Finding]:
    rules = GateRules(slices=slices)
    verdicts = judge_slices({"topic": shared}, {"topic": answers()}, rules, HEADS, dataset)
    return {finding.subject: finding for verdict in verdicts for finding in verdict.findings}


def test_a_slice_fails_where_the_whole_would_pass(dataset: Path) -> None:
    """Twenty rows lost are 2% of all, and 10% of the calls."""
    found = judged(dataset, answers(np.arange(900, 920)), SliceRule(column="source", margin=0.05))
    assert {name: finding.outcome for name, finding in found.items()} == {
        "topic, source = calls": "fail",
        "topic, source = letters": "pass",
    }
    assert found["topic, source = calls"].figures["n"] == 200
    assert found["topic, source = calls"].figures["difference"] == pytest.approx(-0.1)


def test_any_kept_column_and_a_floor(dataset: Path) -> None:
    rule = SliceRule(column="language", values=("de",), floor=0.95, min_rows=100)
    german = np.arange(0, N, 10)
    assert judged(dataset, answers(german[:5]), rule)["topic, language = de, floor"].outcome == "pass"
    found = judged(dataset, answers(german[:6]), rule)["topic, language = de, floor"]
    assert (found.outcome, found.figures["shared"]) == ("fail", pytest.approx(0.94))


def test_a_band_of_lengths(dataset: Path) -> None:
    short = SliceRule(max_chars=40, margin=0.05)
    long = SliceRule(min_chars=41, margin=0.05)
    found = judged(dataset, answers(np.arange(0, 30)), short, long)
    assert found["topic, texts of 0 to 40 characters"].outcome == "fail"
    assert found["topic, texts from 41 characters"].outcome == "pass"
    assert found["topic, texts from 41 characters"].figures["n"] == 800


def test_a_heads_own_labels_are_a_column(dataset: Path) -> None:
    found = judged(dataset, answers(), SliceRule(column="topic", margin=0.05))
    assert [finding.figures["n"] for finding in found.values()] == [500, 500]


def test_too_few_rows_are_said_and_never_pass_by_name(dataset: Path) -> None:
    asked = SliceRule(column="language", values=("gsw",), margin=0.05)
    (found,) = judged(dataset, answers(), asked).values()
    assert found.outcome == "inconclusive" and "9 labelled test rows" in found.reason
    (absent,) = judged(dataset, answers(), SliceRule(column="language", values=("xx",), margin=0.05)).values()
    assert absent.outcome == "inconclusive" and "has 0 labelled test rows" in absent.reason
    # Not asked for by name: the rest is judged, and the rare value is named as not judged.
    every = judged(dataset, answers(), SliceRule(column="language", margin=0.05))
    assert set(every) == {"topic, language = de", "topic, language = en", "topic, slices by language"}
    assert "not judged" in every["topic, slices by language"].reason
    assert "language = gsw (9)" in every["topic, slices by language"].reason
    (none,) = judged(dataset, answers(), SliceRule(column="group", margin=0.05)).values()
    assert none.outcome == "inconclusive"


def test_other_rows_than_those_scored_are_refused(dataset: Path) -> None:
    rule = SliceRule(column="source", margin=0.05)
    other = HeadScores(
        kind="multiclass",
        labels=("a", "b"),
        targets=np.zeros(999, dtype=np.int32),
        decisions=np.zeros(999, dtype=np.int32),
    )
    with pytest.raises(ValueError, match="1,000 test rows, but 999"):
        judged(dataset, other, rule)
    with pytest.raises(ValueError, match="give the dataset folder"):
        judged(None, answers(), rule)
    assert judge_slices({}, {}, GateRules(), HEADS, None) == []


def test_a_missing_baseline_or_a_broken_figure_never_passes(dataset: Path) -> None:
    rules = GateRules(slices=(SliceRule(column="source", margin=0.05, floor=0.5),))
    (verdict,) = judge_slices({"topic": answers()}, {}, rules, HEADS, dataset)
    assert verdict.outcome == "inconclusive"
    (verdict,) = judge_slices({}, {}, rules, HEADS, dataset)
    assert verdict.outcome == "inconclusive"
    nan = np.full((N, 2), np.nan, dtype=np.float32)
    broken = HeadScores(
        kind="multiclass",
        labels=("a", "b"),
        targets=answers().targets,
        decisions=answers().decisions,
        probabilities=nan,
    )
    (verdict,) = judge_slices({"topic": broken}, {"topic": answers()}, rules, HEADS, dataset)
    assert verdict.outcome == "fail"
