"""The real files named by HEADGATE_DATA: their known defects are found, to the number."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from model.bundle.texts import prepared
from model.spec import HeadSpec
from sources.spec import SourceSpec, TargetSpec

ROOT = os.environ.get("HEADGATE_DATA", "")
pytestmark = pytest.mark.skipif(
    not (ROOT and Path(ROOT).is_dir()), reason="HEADGATE_DATA does not name the folder of real data"
)
MULTICLASS, MULTILABEL = HeadSpec(kind="multiclass"), HeadSpec(kind="multilabel")


def test_goemotions(build: Any) -> None:
    """41, 32 and 10 texts shared by pairs of splits, 74 texts with several label sets (counted on texts
    as they are; trimming white space may join a few more)."""
    folder = Path(ROOT, "goemotions", "original")
    files = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}
    where: defaultdict[str, set[str]] = defaultdict(set)
    labels: defaultdict[str, set[str]] = defaultdict(set)
    raw_labels: defaultdict[str, set[str]] = defaultdict(set)
    raw_where: defaultdict[str, set[str]] = defaultdict(set)
    identities: dict[str, str] = {}
    for split, file in files.items():
        for line in (folder / file).read_text(encoding="utf-8").split("\n")[:-1]:
            text, ids, _ = line.split("\t")
            raw_labels[text].add(ids)
            raw_where[text].add(split)
            same = identities.setdefault(
                text, text if text.isascii() and text == text.strip() else prepared(text)
            )
            where[same].add(split)
            labels[same].add(",".join(sorted(ids.split(","))))
    assert sum(len(found) > 1 for found in raw_labels.values()) == 74
    for pair, number in (
        (("train", "validation"), 41),
        (("train", "test"), 32),
        (("validation", "test"), 10),
    ):
        assert sum(set(pair) <= found for found in raw_where.values()) == number
    spec = SourceSpec(
        path={split: f"${{HEADGATE_DATA}}/goemotions/original/{file}" for split, file in files.items()},
        header=False,
        names=("text", "labels", "id"),
        heads={
            "emotion": TargetSpec(
                column="labels",
                encoding="separator",
                labels_file="${HEADGATE_DATA}/goemotions/original/labels.txt",
            )
        },
    )
    built = build({"goemotions": spec}, {"emotion": MULTILABEL})
    assert built.ref.observations == 43410 + 5426 + 5427
    assert len(built.ref.heads["emotion"].labels) == 28
    assert sum(built.ref.rows.values()) == len(where)
    assert built.profile["text_shared_between_splits"] == sum(len(found) > 1 for found in where.values())
    conflicts = built.profile["conflicts"]["emotion"]
    assert conflicts == sum(len(found) > 1 for found in labels.values())
    assert conflicts >= 74
    data = built.table("dataset")
    splits = dict(data.select("text", "split").iter_rows())
    latest = {text: max(found, key=list(files).index) for text, found in where.items()}
    assert splits == latest
    assert data["head:emotion"].null_count() == conflicts


def test_jigsaw(build: Any) -> None:
    """38 texts are in both files, with the same labels."""
    columns = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
    heads = {"toxicity": TargetSpec(columns=columns)}
    sources = {
        name: SourceSpec(path=f"${{HEADGATE_DATA}}/jigsaw/{file}", text="comment_text", heads=heads)
        for name, file in (
            ("first", "first3000_toxic_comments.csv"),
            ("sample", "sample2000_toxic_comments.csv"),
        )
    }
    built = build(sources, {"toxicity": MULTILABEL})
    data = built.table("dataset")
    both = data.filter(pl.col("origins").list.eval(pl.element().struct.field("source")).list.n_unique() == 2)
    assert both.height == 38
    assert data.height == 5000 - 38
    assert built.profile["conflicts"]["toxicity"] == 0
    assert set(built.ref.heads["toxicity"].labels) == set(columns)
    counts = built.profile["heads"]["toxicity"]["splits"]
    assert sum(split["counts"]["threat"] for split in counts.values()) <= 14 + 16
    # every finding and origin points at the physical line of a file with multi-line cells
    file = Path(ROOT, "jigsaw", "sample2000_toxic_comments.csv")
    with file.open(newline="", encoding="utf-8") as text:
        reader = csv.reader(text)
        next(reader)
        starts, line = [], reader.line_num + 1
        for _ in reader:
            starts.append(line)
            line = reader.line_num + 1
    seen = built.table("observations").filter(pl.col("source") == "sample")
    assert seen["line"].to_list() == starts


def test_openai_moderation(build: Any) -> None:
    """Cells are missing label by label; 10 prompts stand twice, one with other labels."""
    columns = ("S", "H", "V", "HR", "SH", "S3", "H2", "V2")
    spec = SourceSpec(
        path="${HEADGATE_DATA}/openai_moderation/samples-1680.jsonl.gz",
        text="prompt",
        heads={"flags": TargetSpec(columns=columns)},
    )
    built = build({"moderation": spec}, {"flags": MULTILABEL})
    assert built.ref.observations == 1680
    assert built.profile["conflicts"]["flags"] == 1
    assert sum(built.ref.rows.values()) <= 1670
    unknown = {label: 0 for label in columns}
    for split in built.profile["heads"]["flags"]["splits"].values():
        for label, number in split["unknown"].items():
            unknown[label] += number
    known = {"S": 696, "H": 909, "S3": 686, "H2": 919, "V": 230, "HR": 236, "SH": 233, "V2": 233}
    for label, number in known.items():  # a repeated prompt fills or repeats a few cells
        assert number - 20 <= unknown[label] <= number
    targets = np.load(built.ref.path / "rows" / "train.flags.npy")
    assert (targets == -1).any(axis=0).all()


def test_bitext(build: Any) -> None:
    """Tags are one-letter codes; `B` is set on every row, and so cannot be learned."""
    names = {"train": "Training", "validation": "Validation", "test": "Testing"}
    spec = SourceSpec(
        path={
            split: f"${{HEADGATE_DATA}}/bitext/Bitext_Sample_Customer_Service_{name}_Dataset.csv"
            for split, name in names.items()
        },
        text="utterance",
        heads={
            "intent": "intent",
            "category": "category",
            "tags": TargetSpec(column="tags", encoding="letters"),
            "entity": "entity_type",
        },
    )
    built = build(
        {"bitext": spec},
        {"intent": MULTICLASS, "category": MULTICLASS, "tags": MULTILABEL, "entity": MULTICLASS},
    )
    assert built.ref.rows == {"train": 6480, "validation": 810, "test": 810}
    heads = built.profile["heads"]
    assert {name: len(head["labels"]) for name, head in heads.items()} == {
        "intent": 27, "category": 11, "tags": 12, "entity": 7,
    }  # fmt: skip
    tags = heads["tags"]["splits"]["train"]
    assert tags["counts"]["B"] == tags["labelled"] == 6480
    assert (tags["counts"]["L"], tags["counts"]["N"]) == (5578, 99)
    assert heads["entity"]["splits"]["train"]["labelled"] == 6480 - 3937


def test_banking77(build: Any) -> None:
    """Texts over several lines; no validation split, so it is carved out of training rows."""
    spec = SourceSpec(
        path={split: f"${{HEADGATE_DATA}}/banking77/{split}.csv" for split in ("train", "test")},
        heads={"intent": "category"},
    )
    built = build({"banking": spec}, {"intent": MULTICLASS})
    assert built.ref.observations == 10003 + 3080
    assert len(built.ref.heads["intent"].labels) == 77
    assert 800 < built.ref.rows["validation"] < 1200
    assert built.table("dataset")["text"].str.contains("\n").any()
    assert built.profile["text_shared_between_splits"] == 6  # exact up to outer white space


def test_dynasent(build: Any) -> None:
    """Nested columns beside those read are left alone; without a training file rows are split by hash."""
    spec = SourceSpec(
        path="${HEADGATE_DATA}/dynasent/*.jsonl", text="sentence", heads={"sentiment": "gold_label"}
    )
    built = build({"dynasent": spec}, {"sentiment": MULTICLASS})
    assert built.ref.observations == 3600 * 2 + 720 * 2
    assert built.ref.heads["sentiment"].labels == ("negative", "neutral", "positive")
