"""A dataset folder written by the contract, from a few rows, without the code that merges sources."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.spec import SPLITS, HeadSpec
from sources.merge.identity import look_alike_labels


@dataclass
class Row:
    """One input row. `labels`: head → labels of the cell; a head that is not named is unlabelled."""

    text: str | None
    split: str = "train"
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    source: str = "letters"
    file: str = "letters.csv"


HEADS = {
    "topic": HeadSpec(kind="multiclass", labels=("bill", "trip", "other")),
    "mood": HeadSpec(kind="multilabel", labels=("glad", "cross")),
}


def sound_rows(rows: int = 300) -> list[Row]:
    """Rows without a defect: half train, a quarter each validation and test, every label often."""
    splits = ("train", "train", "validation", "test")
    return [
        Row(
            f"message number {i} about something",
            splits[i % 4],
            {
                "topic": [HEADS["topic"].labels[i // 4 % 3]],
                "mood": [[], ["glad"], ["cross", "glad"]][i // 4 % 3],
            },
        )
        for i in range(rows)
    ]


@pytest.fixture
def heads() -> dict[str, HeadSpec]:
    return dict(HEADS)


@pytest.fixture
def rows() -> list[Row]:
    return sound_rows()


@pytest.fixture
def make_row() -> type[Row]:
    return Row


@pytest.fixture
def write_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as a dataset folder; returns it."""

    def write(
        rows: Sequence[Row],
        heads: Mapping[str, HeadSpec],
        near_duplicates: int | None = 0,
        name: str = "data",
    ) -> Path:
        return _write(tmp_path / name, rows, heads, near_duplicates)

    return write


def _write(out: Path, rows: Sequence[Row], heads: Mapping[str, HeadSpec], near: int | None) -> Path:
    out.mkdir(parents=True)
    ids = [
        hashlib.sha256(row.text.strip().encode()).hexdigest()[:32] if row.text and row.text.strip() else None
        for row in rows
    ]
    splits_of, answers, first = defaultdict(set), defaultdict(lambda: defaultdict(set)), {}
    said_by: dict[Any, Any] = defaultdict(lambda: defaultdict(set))
    for row, text_id in zip(rows, ids, strict=True):
        if text_id is None:
            continue
        first.setdefault(text_id, row)
        splits_of[text_id].add(row.split)
        for head, labels in row.labels.items():
            if set(labels) <= set(heads[head].labels):
                answers[text_id][head].add(tuple(sorted(labels)))
                said_by[text_id, head][row.source].add(tuple(sorted(labels)))

    findings = []
    observations: dict[str, list[Any]] = defaultdict(list)
    for line, (row, text_id) in enumerate(zip(rows, ids, strict=True), start=2):
        place = {"source": row.source, "file": row.file, "line": line}
        shared = len(splits_of.get(text_id, ())) > 1
        for key, value in {
            **place,
            "text_id": text_id,
            "text": row.text,
            "split_given": row.split,
            "in_two_splits": shared,
            "chars": None if row.text is None else len(row.text),
        }.items():
            observations[key].append(value)
        found = []
        if row.text is None:
            found.append(("text_present", None, "missing"))
        elif text_id is None:
            found.append(("text_not_blank", None, "blank"))
        if shared:
            found.append(("single_split", None, row.split))
        for head, spec in heads.items():
            cell = row.labels.get(head)
            strange = [label for label in cell or () if label not in spec.labels]
            clash = text_id is not None and len(answers[text_id][head]) > 1
            observations[f"count:{head}"].append(None if cell is None else len(cell))
            observations[f"unknown_label:{head}"].append(bool(strange))
            observations[f"conflict:{head}"].append(clash)
            by_source = list(said_by[text_id, head].values()) if clash else []
            within, between = any(len(said) > 1 for said in by_source), len(by_source) > 1
            observations[f"conflict_within:{head}"].append(within)
            observations[f"conflict_between:{head}"].append(between)
            found += [("labels_known", head, label) for label in strange]
            rules = {"one_answer": clash, "sources_consistent": within, "sources_agree": between}
            found += [(rule, head, f"{len(cell or ())} labels") for rule, broken in rules.items() if broken]
            if spec.kind == "multiclass" and cell is not None and not strange and len(cell) != 1:
                found.append(("multiclass_exactly_one", head, f"{len(cell)} labels"))
        findings += [{**place, "rule": rule, "head": head, "value": value} for rule, head, value in found]

    merged: dict[str, list[Any]] = defaultdict(list)
    positives: dict[str, list[str]] = {"text_id": [], "split": [], "head": [], "label": []}
    for text_id in sorted(first):
        split = next(s for s in ("test", "validation", "train") if s in splits_of[text_id])
        for key, value in {
            "text_id": text_id,
            "text": first[text_id].text,
            "split": split,
            "weight": 1.0,
            "group": None,
        }.items():
            merged[key].append(value)
        for head, spec in heads.items():
            said = answers[text_id][head]
            cell = next(iter(said)) if len(said) == 1 else None
            if cell is not None and spec.kind == "multiclass" and len(cell) != 1:
                cell = None
            merged[f"head:{head}"].append(
                None if cell is None else cell[0] if spec.kind == "multiclass" else list(cell)
            )
            for label in cell or ():
                for key, value in zip(positives, (text_id, split, head, label), strict=True):
                    positives[key].append(value)

    types = {"text": pa.string(), "text_id": pa.string(), "group": pa.string(), "weight": pa.float32()}
    types |= {"line": pa.int64(), "chars": pa.int32(), "value": pa.string(), "head": pa.string()}
    for head, spec in heads.items():
        types[f"head:{head}"] = pa.string() if spec.kind == "multiclass" else pa.list_(pa.string())
        types[f"count:{head}"] = pa.int32()

    def save(name: str, columns: Mapping[str, list[Any]], fallback: pa.DataType) -> None:
        arrays = {key: pa.array(values, types.get(key, None)) for key, values in columns.items()}
        arrays = {key: a.cast(fallback) if pa.types.is_null(a.type) else a for key, a in arrays.items()}
        pq.write_table(pa.table(arrays), out / name)

    save("observations.parquet", observations, pa.string())
    save("dataset.parquet", merged, pa.string())
    save("labels.parquet", positives, pa.string())
    keys = ("rule", "source", "file", "line", "head", "value")
    save("findings.parquet", {key: [one[key] for one in findings] for key in keys}, pa.string())

    def of_head(head: str, spec: HeadSpec, split: str) -> dict[str, Any]:
        cells = [
            c
            for c, s in zip(merged[f"head:{head}"], merged["split"], strict=True)
            if s == split and c is not None
        ]
        counts = Counter(label for cell in cells for label in ([cell] if isinstance(cell, str) else cell))
        total = sum(counts.values())
        p = np.array([n for n in counts.values() if n]) / max(total, 1)
        return {
            "labelled": len(cells),
            "counts": {label: counts[label] for label in spec.labels},
            "coverage": len(cells) / max(merged["split"].count(split), 1),
            "cardinality": total / len(cells) if cells else None,
            "density": total / len(cells) / len(spec.labels) if cells else None,
            "normalised_entropy": float(-(p * np.log2(p)).sum() / np.log2(len(spec.labels)))
            if total
            else None,
            "imbalance": float(p.max() / p.min()) if total else None,
        }

    # Any numbers will do for words: the judge knows them by their number only.
    words = Counter(
        (s, zlib.crc32(w.encode()))
        for t, s in zip(merged["text"], merged["split"], strict=True)
        for w in t.split()
    )
    keys_of_words = [*words]
    pq.write_table(
        pa.table(
            {
                "split": pa.array([s for s, _ in keys_of_words], pa.string()),
                "word": pa.array([w for _, w in keys_of_words], pa.uint32()),
                "tokens": pa.array([words[key] for key in keys_of_words], pa.uint32()),
            }
        ),
        out / "words.parquet",
    )
    trained = {w for s, w in words if s == "train"}
    tokens = {split: sum(n for (s, _), n in words.items() if s == split) for split in SPLITS}
    unseen = {
        split: sum(n for (s, w), n in words.items() if s == split and w not in trained)
        / max(tokens[split], 1)
        for split in SPLITS
    }
    vocabulary = {
        "words": base64.b64encode(np.array(sorted(trained), dtype="<u4").tobytes()).decode(),
        "texts": {split: merged["split"].count(split) for split in SPLITS},
        "tokens": tokens,
        "unseen": unseen,
    }

    lengths = {
        s: [len(t) for t, at in zip(merged["text"], merged["split"], strict=True) if at == s] for s in SPLITS
    }
    edges = np.unique(np.geomspace(1, 1 + max([1, *map(max, filter(None, lengths.values()))]), 20).round())
    profile = {
        "rows": {split: merged["split"].count(split) for split in SPLITS},
        "observations": len(rows),
        "sources": [
            {"name": name, "files": sorted({r.file for r in rows if r.source == name}), "rows": n, "kept": n}
            for name, n in Counter(row.source for row in rows).items()
        ],
        "heads": {
            head: {
                "kind": spec.kind,
                "labels": list(spec.labels),
                "splits": {split: of_head(head, spec, split) for split in SPLITS},
            }
            for head, spec in heads.items()
        },
        "text_chars": {
            split: {
                "min": min(found),
                "median": float(np.median(found)),
                "p95": float(np.quantile(found, 0.95)),
                "max": max(found),
                "histogram": {"edges": edges.tolist(), "counts": np.histogram(found, edges)[0].tolist()},
            }
            if found
            else None
            for split, found in lengths.items()
        },
        "vocabulary": vocabulary,
        "text_shared_between_splits": sum(len(s) > 1 for s in splits_of.values()),
        "conflicts": {head: sum(len(a[head]) > 1 for a in answers.values()) for head in heads},
        "near_duplicates": near,
        "look_alike_labels": {head: look_alike_labels(spec.labels) for head, spec in heads.items()},
        "finding_totals": dict(Counter(one["rule"] for one in findings)),
    }
    (out / "profile.json").write_text(json.dumps(profile), encoding="utf-8")
    return out
