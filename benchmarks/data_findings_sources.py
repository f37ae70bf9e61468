"""The real corpora of `benchmarks.data_findings` as a configuration would declare them, with every
column that has a known defect. The folder is named by HEADGATE_DATA.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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
    training file either: the files for development stand in."""
    source = SourceSpec(
        path={
            "train": f"{_ROOT}/dynasent/dynasent-v1.1-round0*-dev.jsonl",
            "test": f"{_ROOT}/dynasent/dynasent-v1.1-round0*-test.jsonl",
        },
        text="sentence",
        heads={"sentiment": "gold_label"},
    )
    return Corpus(sources={"dynasent": source}, heads={"sentiment": _MULTICLASS})
