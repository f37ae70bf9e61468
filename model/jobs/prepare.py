"""Prepare a run: find the encoder, and measure the lengths of the texts with its tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle.tokens import TokenReader
from ..spec import SPLITS, BackboneSpec, TrainSpec

LONGEST_MEASURED = 8192
"""Texts longer than this count as this long, in tokens."""

HISTOGRAM_BINS = 48
"""Bins of the histogram of lengths in tokens."""

MOST_TEXTS_MEASURED = 50_000
"""Texts a split whose token length is counted: enough for any percentile that is reported."""


def measure_tokens(backbone: BackboneSpec, train: TrainSpec, rows: Path) -> tuple[Any, dict[str, Any]]:
    """(The encoder on local disk, lengths of the texts in tokens by split).

    Raises:
        model.errors.BackboneError: there is no such encoder, or the hub cannot be reached.
    """
    from ..train.backbone import load_tokenizer, resolve

    encoder = resolve(backbone)
    tokenizer = load_tokenizer(encoder, max_length=LONGEST_MEASURED)
    splits = {
        split: token_lengths(tokenizer, rows / f"{split}.texts.jsonl", train.max_length) for split in SPLITS
    }
    return encoder, {"max_length": train.max_length, "splits": splits}


def token_lengths(tokenizer: Any, texts: Path, max_length: int) -> dict[str, Any]:
    """Percentiles and a histogram of text lengths in tokens, before anything is cut."""
    with texts.open(encoding="utf-8") as lines:
        sample = [json.loads(line) for line, _ in zip(lines, range(MOST_TEXTS_MEASURED), strict=False)]
    reader = TokenReader(tokenizer, LONGEST_MEASURED)
    lengths = np.array([len(ids) for ids in reader.ids(sample)] or [0])
    # Evenly spaced on a logarithmic axis, equal for all splits and runs.
    edges = np.unique(np.geomspace(1, LONGEST_MEASURED + 1, HISTOGRAM_BINS + 1).round().astype(int))
    counts, _ = np.histogram(np.maximum(lengths, 1), bins=edges)
    return {
        "rows": len(sample),
        "truncated": int((lengths > max_length).sum()),
        "median": float(np.median(lengths)),
        "p95": float(np.percentile(lengths, 95)),
        "max": int(lengths.max()),
        "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    }
