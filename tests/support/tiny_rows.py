"""Rows folders made by hand: nonsense words whose topic can be learned in a few epochs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.tiny_encoder import WORDS


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
