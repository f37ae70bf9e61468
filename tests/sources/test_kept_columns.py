"""Columns that a source keeps, for slices of the gates: carried along, without changing what is learnt."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import polars as pl
import pytest

from model.spec import HeadSpec
from sources.dataset import build_dataset
from sources.errors import DataError
from sources.spec import SourceSpec, SplitSpec

HEADS = {"mood": HeadSpec(kind="multiclass")}
ROWS = [
    {"text": "one", "split": "train", "mood": "good", "language": "fr"},
    {"text": "two", "split": "train", "mood": "bad", "language": "fr"},
    {"text": "four", "split": "validation", "mood": "good", "language": "de"},
    {"text": "five", "split": "test", "mood": "bad", "language": "en"},
    {"text": "five ", "split": "test", "mood": "bad", "language": "de"},
    {"text": "six", "split": "test", "mood": "bad", "language": ""},
]
SPEC = SourceSpec(path="s.jsonl", split_column="split", heads={"mood": "mood"})


def test_columns_that_a_source_keeps_are_carried_along(tmp_path: Path) -> None:
    """The smallest value of equal texts; null where it is empty or a source does not have the column."""
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "t.jsonl").write_text(json.dumps({"text": "eleven", "split": "test", "mood": "good"}) + "\n")
    plain = dataclasses.replace(SPEC, path="t.jsonl")
    without = build_dataset({"s": SPEC, "t": plain}, HEADS, SplitSpec(), tmp_path, tmp_path / "data")
    kept = dataclasses.replace(SPEC, keep=("language",))
    made = build_dataset({"s": kept, "t": plain}, HEADS, SplitSpec(), tmp_path, tmp_path / "data")
    assert made.fingerprint == without.fingerprint, "what is learned from is the same"
    assert made.path != without.path, "what is known of the rows is not"
    table = pl.read_parquet(made.path / "dataset.parquet")
    found = dict(table.select("text", "column:language").iter_rows())
    assert (found["four"], found["five"], found["six"], found["eleven"]) == ("de", "de", None, None)
    missing = dataclasses.replace(SPEC, keep=("dialect",))
    with pytest.raises(DataError, match="dialect"):
        build_dataset({"s": missing}, HEADS, SplitSpec(), tmp_path, tmp_path / "data")
