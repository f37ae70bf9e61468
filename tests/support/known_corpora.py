"""Corpora with known defects, as a configuration would declare them.

The real ones lie in the folder that HEADGATE_DATA names; one with planted defects is generated.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

from model.spec import HeadSpec
from sources.spec import SourceSpec, SplitSpec, TargetSpec

TOXIC = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
MODERATION = ("S", "H", "V", "HR", "SH", "S3", "H2", "V2")

_ROOT = "${HEADGATE_DATA}"
_MULTICLASS, _MULTILABEL = HeadSpec(kind="multiclass"), HeadSpec(kind="multilabel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """One folder of HEADGATE_DATA."""

    sources: dict[str, SourceSpec]
    heads: dict[str, HeadSpec]
    split: SplitSpec = field(default_factory=SplitSpec)


def corpora() -> dict[str, Corpus]:
    """Folder → what is merged from it."""
    return {
        "openai_moderation": _moderation(),
        "jigsaw": _jigsaw(),
        "goemotions": _goemotions(),
        "bitext": _bitext(),
        "banking77": _banking(),
        "dynasent": _dynasent(),
    }


PLANTED = {
    "rows": 315,
    "blank texts": 2,
    "repeated rows in train": 6,
    "texts in train and test": 4,
    "texts with different labels": 3,
}
"""Defects of the generated corpus."""


def generated_corpus(folder: Path) -> Corpus:
    """Write 300 sound rows and those with the defects of `PLANTED`; declare them."""
    topics = ("bill", "trip", "other")
    splits = ("train", "train", "train", "validation", "test")
    rows = [
        [f"{number * 7919:x} asks about {topics[number % 3]} {number * 104729:x}", topics[number % 3], split]
        for number in range(300)
        for split in [splits[number // 3 % 5]]
    ]
    train = [row for row in rows if row[2] == "train"]
    rows += [["  ", "bill", "train"], ["\t", "bill", "test"], *train[:3]]
    rows += [[text, topic, "test"] for text, topic, _ in train[10:14]]
    rows += [[text, topics[topics.index(topic) - 1], "train"] for text, topic, _ in train[20:23]]
    rows += [[f"one more sound row {number * 7919:x}", "trip", "validation"] for number in range(3)]
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "topic", "split"], *rows])
    source = SourceSpec(path=str(folder / "rows.csv"), heads={"topic": "topic"}, split_column="split")
    return Corpus(sources={"rows": source}, heads={"topic": _MULTICLASS})


def _moderation() -> Corpus:
    source = SourceSpec(
        path=f"{_ROOT}/openai_moderation/samples-1680.jsonl.gz",
        text="prompt",
        heads={"flags": TargetSpec(columns=MODERATION)},
    )
    return Corpus(sources={"moderation": source}, heads={"flags": _MULTILABEL})


def _jigsaw() -> Corpus:
    files = {"first": "first3000_toxic_comments.csv", "sample": "sample2000_toxic_comments.csv"}
    sources = {
        name: SourceSpec(
            path=f"{_ROOT}/jigsaw/{file}",
            text="comment_text",
            heads={"toxicity": TargetSpec(columns=TOXIC)},
        )
        for name, file in files.items()
    }
    return Corpus(sources=sources, heads={"toxicity": _MULTILABEL})


def _goemotions() -> Corpus:
    folder = f"{_ROOT}/goemotions/original"
    source = SourceSpec(
        path={
            "train": f"{folder}/train.tsv",
            "validation": f"{folder}/dev.tsv",
            "test": f"{folder}/test.tsv",
        },
        header=False,
        names=("text", "labels", "comment"),
        heads={
            "emotion": TargetSpec(column="labels", encoding="separator", labels_file=f"{folder}/labels.txt")
        },
    )
    return Corpus(sources={"goemotions": source}, heads={"emotion": _MULTILABEL})


def _bitext() -> Corpus:
    names = {"train": "Training", "validation": "Validation", "test": "Testing"}
    source = SourceSpec(
        path={
            split: f"{_ROOT}/bitext/Bitext_Sample_Customer_Service_{name}_Dataset.csv"
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
    heads = {"intent": _MULTICLASS, "category": _MULTICLASS, "tags": _MULTILABEL, "entity": _MULTICLASS}
    return Corpus(sources={"bitext": source}, heads=heads)


def _banking() -> Corpus:
    source = SourceSpec(
        path={split: f"{_ROOT}/banking77/{split}.csv" for split in ("train", "test")},
        heads={"intent": "category"},
    )
    return Corpus(sources={"banking": source}, heads={"intent": _MULTICLASS})


def _dynasent() -> Corpus:
    """Without `sst-dev-validated.jsonl`, which SOURCE.md describes and the folder lacks. There is no
    training file: the files for development are used in its place."""
    source = SourceSpec(
        path={
            "train": f"{_ROOT}/dynasent/dynasent-v1.1-round0*-dev.jsonl",
            "test": f"{_ROOT}/dynasent/dynasent-v1.1-round0*-test.jsonl",
        },
        text="sentence",
        heads={"sentiment": "gold_label"},
    )
    return Corpus(sources={"dynasent": source}, heads={"sentiment": _MULTICLASS})
