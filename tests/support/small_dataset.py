"""A dataset of ten rows with two heads, whose tables can be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model.spec import HeadSpec
from sources.dataset import build_dataset
from sources.spec import SourceSpec, SplitSpec

HEADS = {"mood": HeadSpec(kind="multiclass"), "tags": HeadSpec(kind="multilabel")}
ROWS = [
    {"text": "one", "split": "train", "mood": "good", "tags": ["p", "q"]},
    {"text": "two", "split": "train", "mood": "bad", "tags": []},
    {"text": "three", "split": "train", "mood": None, "tags": ["q"]},
    {"text": "four", "split": "validation", "mood": "good", "tags": None},
    {"text": "five", "split": "test", "mood": "bad", "tags": ["p"]},
    {"text": " ", "split": "test", "mood": "bad", "tags": ["p"]},
    {"text": None, "split": "test", "mood": "bad", "tags": ["p"]},
    {"text": "five ", "split": "test", "mood": "good", "tags": ["p"]},
    {"text": "six", "split": "test", "mood": "bad", "tags": []},
    {"text": "ten", "split": "validation", "mood": None, "tags": ["p"]},
]
SPEC = SourceSpec(path="s.jsonl", split_column="split", heads={"mood": "mood", "tags": "tags"})


def make(folder: Path, heads: dict[str, HeadSpec] = HEADS, spec: SourceSpec = SPEC, **options: Any) -> Any:
    split = SplitSpec(**({"near_duplicates": "off"} | options))
    return build_dataset({"s": spec}, heads, split, folder, folder / "data")
