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
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ["sun", "rain", "wind", "snow", "tea", "milk", "bread", "soup", "cat", "dog", "hen", "fox"]


def make_tiny_backbone(folder: Path, *, layers: int = 2) -> Path:
    """A BERT of two layers with random weights and a WordPiece vocabulary of a few words."""
    import torch
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, "##s"])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
    )
    config.save_pretrained(folder)
    model = BertModel(config, add_pooling_layer=False)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


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
    """Nonsense whose first word tells the topic; every third row leaves one head unlabelled."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for i in range(count):
        group = int(random.integers(3))
        first = WORDS[group * 4 + int(random.integers(4))]
        rest = [str(w) for w in random.choice(WORDS, int(random.integers(1, 12)))]
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
