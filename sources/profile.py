"""Figures about a dataset: rows, labels per head and split, lengths in characters. Plain JSON.

Does not know tokens (the model's tokenizer counts those) nor what is good or bad about a figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from model.spec import SPLITS, HeadSpec

HISTOGRAM_BINS = 40
"""Bins of the text length histogram, evenly spaced on a logarithmic axis."""


def split_rows(dataset: pl.DataFrame) -> dict[str, int]:
    """Split → rows."""
    counts = dict(dataset.group_by("split").len().iter_rows())
    return {split: int(counts.get(split, 0)) for split in SPLITS}


def profile_heads(dataset: pl.DataFrame, heads: Mapping[str, HeadSpec]) -> dict[str, Any]:
    """Head → kind, labels, and per split: `labelled` rows, `counts` of rows to which each label applies,
    `cardinality` (mean labels of a labelled row; None without any), and, for multilabel, `unknown`:
    rows in which the label is not known."""
    found = {}
    for name, head in heads.items():
        column = f"head:{name}"
        splits = {}
        for split in SPLITS:
            part = dataset.filter((pl.col("split") == split) & pl.col(column).is_not_null())
            figures: dict[str, Any] = {"labelled": part.height, "counts": _counts(part[column], head.labels)}
            applied = sum(figures["counts"].values())
            figures["cardinality"] = applied / part.height if part.height else None
            if head.kind == "multilabel":
                figures["unknown"] = _counts(part[f"unknown:{name}"], head.labels)
            splits[split] = figures
        found[name] = {"kind": head.kind, "labels": list(head.labels), "splits": splits}
    return found


def _counts(cells: pl.Series, labels: tuple[str, ...]) -> dict[str, int]:
    if cells.dtype == pl.List(pl.String):
        cells = cells.explode()
    counts = dict(cells.drop_nulls().value_counts().iter_rows()) if cells.len() else {}
    return {label: int(counts.get(label, 0)) for label in labels}


def profile_lengths(dataset: pl.DataFrame) -> dict[str, Any]:
    """Split → `min`, `median`, `p95`, `max` in characters, and a histogram whose edges all splits share
    (bin i holds edges[i] ≤ chars < edges[i + 1]). None for a split without rows."""
    chars = dataset.select("split", chars=pl.col("text").str.len_chars())
    longest = max(int(chars["chars"].max() or 1), 1)  # type: ignore[arg-type]
    edges = np.unique(np.geomspace(1, longest + 1, HISTOGRAM_BINS + 1).round().astype(int))
    found: dict[str, Any] = {}
    for split in SPLITS:
        lengths = chars.filter(pl.col("split") == split)["chars"].to_numpy()
        if len(lengths) == 0:
            found[split] = None
            continue
        counts, _ = np.histogram(lengths, bins=edges)
        found[split] = {
            "min": int(lengths.min()),
            "median": float(np.median(lengths)),
            "p95": float(np.quantile(lengths, 0.95)),
            "max": int(lengths.max()),
            "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
        }
    return found
