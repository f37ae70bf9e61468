"""A tiny random encoder and rows made of nonsense words: seconds instead of minutes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from benchmarks.tiny_encoder import WORDS, make_tiny_backbone


def write_rows(
    folder: Path, heads: dict[str, dict[str, Any]], splits: dict[str, Sequence[dict[str, Any]]]
) -> Path:
    """A rows folder as `sources` writes it; a row is {"text", head: label or labels; absent: unlabelled}."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for split, rows in splits.items():
        content = "".join(json.dumps(row["text"]) + "\n" for row in rows).encode()
        (folder / f"{split}.texts.jsonl").write_bytes(content)
        digests[split] = hashlib.sha256(content).hexdigest()
        np.save(folder / f"{split}.weight.npy", np.ones(len(rows), np.float32))
        for name, head in heads.items():
            labels = head["labels"]
            if head["kind"] == "multiclass":
                target = np.array([labels.index(r[name]) if name in r else -1 for r in rows], np.int32)
            else:
                none = [-1] * len(labels)
                cells = [[int(x in r[name]) for x in labels] if name in r else none for r in rows]
                target = np.array(cells, np.int8)
            np.save(folder / f"{split}.{name}.npy", target)
    description = {"heads": heads, "rows": {s: len(r) for s, r in splits.items()}, "digest": digests}
    (folder / "rows.json").write_text(json.dumps(description))
    return folder


TINY_HEADS: dict[str, dict[str, Any]] = {
    "topic": {"kind": "multiclass", "labels": ["weather", "food", "animal"]},
    "names": {"kind": "multilabel", "labels": ["sun", "tea", "cat", "fox"]},
}


def tiny_examples(count: int, seed: int) -> list[dict[str, Any]]:
    """Nonsense whose words hint at the topic; every third row leaves one head unlabelled."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for i in range(count):
        group = int(random.integers(3))
        first = WORDS[group * 4 + int(random.integers(4))]
        # Most of the words are of the topic's group: learnable in a few epochs, but not in one.
        pool = WORDS[group * 4 : group * 4 + 4] * 3 + WORDS
        rest = [str(w) for w in random.choice(pool, int(random.integers(1, 12)))]
        row: dict[str, Any] = {
            "text": " ".join([first, *rest]),
            "topic": TINY_HEADS["topic"]["labels"][group],
            "names": [w for w in TINY_HEADS["names"]["labels"] if w in (first, *rest)],
        }
        if i % 3 == 0:
            del row["topic" if i % 2 else "names"]
        rows.append(row)
    return rows


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a pretrained encoder, as `BackboneSpec.name` takes it."""
    return make_tiny_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="session")
def tiny_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows folder with a multiclass and a multilabel head: 120, 60 and 60 rows."""
    splits = {
        "train": tiny_examples(120, 1),
        "validation": tiny_examples(60, 2),
        "test": tiny_examples(60, 3),
    }
    return write_rows(tmp_path_factory.mktemp("rows"), TINY_HEADS, splits)


@pytest.fixture
def make_rows() -> Callable[..., Path]:
    """`write_rows`, for tests that need their own."""
    return write_rows


@pytest.fixture(scope="session")
def tiny_fitted(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    """A fitted folder as `fit` writes it, with random heads instead of trained ones."""
    import torch
    from transformers import BertModel

    from model.network import MultiHeadNetwork, describe_network
    from model.spec import head_from_json

    folder = tmp_path_factory.mktemp("fitted")
    heads = {name: head_from_json(head) for name, head in TINY_HEADS.items()}
    encoder = BertModel.from_pretrained(tiny_backbone, add_pooling_layer=False)
    torch.manual_seed(5)
    network = MultiHeadNetwork(
        encoder, {name: len(head.labels) for name, head in heads.items()}, pooling="mean", dropout=0.1
    )
    for layer in network.heads.values():
        torch.nn.init.normal_(layer.weight, std=1.0)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / "weights.safetensors")
    description = describe_network(network, heads, max_length=48, pad_token_id=0, backbone={"name": "tiny"})
    calibration = {"topic": {"temperature": 1.5}, "names": {"temperature": 0.8, "thresholds": [0.4] * 4}}
    for name, value in {
        "network.json": description,
        "calibration.json": calibration,
        "fit.json": {"seconds": 1.0},
    }.items():
        (folder / name).write_text(json.dumps(value))
    (folder / "tokenizer.json").write_bytes((tiny_backbone / "tokenizer.json").read_bytes())
    return folder


@pytest.fixture(scope="session")
def tiny_bundles(
    tmp_path_factory: pytest.TempPathFactory, tiny_fitted: Path, tiny_rows: Path
) -> dict[str, Path]:
    """The same fitted folder packaged in each precision: `float32` and `int8` → bundle folder."""
    from model.export import package

    folder = tmp_path_factory.mktemp("bundles")
    for kept in ("float32", "int8"):
        package(
            tiny_fitted,
            folder / kept,
            name="tiny",
            rows=tiny_rows,
            provenance={"dataset_fingerprint": "f" * 16},
            wanted=kept,
            threads=1,
        )
    return {kept: folder / kept for kept in ("float32", "int8")}
