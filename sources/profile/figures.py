"""Figures about a dataset: rows, labels per head and split, lengths in characters. Plain JSON.

Does not know tokens (the model's tokenizer counts those) nor what is good or bad about a figure.
"""

from __future__ import annotations

import math
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
    """Head → `kind`, `labels`, and `splits`: split → the figures of `label_figures`, with `labelled` rows,
    `counts` of rows to which each label applies and, for multilabel, `unknown`: rows in which the label
    is not known."""
    rows = split_rows(dataset)
    found = {}
    for name, head in heads.items():
        cells = dataset.select("split", label=f"head:{name}")
        labelled = dict(cells.group_by("split").agg(pl.col("label").is_not_null().sum()).iter_rows())
        counts = _counts(cells, head.labels)
        unknown = {}
        if head.kind == "multilabel":
            unknown = _counts(dataset.select("split", label=f"unknown:{name}"), head.labels)
        splits = {}
        for split in SPLITS:
            of_split = int(labelled.get(split, 0))
            figures: dict[str, Any] = {"labelled": of_split, "counts": counts[split]}
            figures |= label_figures(counts[split], of_split, rows[split])
            if head.kind == "multilabel":
                figures["unknown"] = unknown[split]
            splits[split] = figures
        found[name] = {"kind": head.kind, "labels": list(head.labels), "splits": splits}
    return found


def label_figures(counts: Mapping[str, int], labelled: int, rows: int) -> dict[str, Any]:
    """Figures of one head in one split; None where there is nothing to divide by.

    - `coverage`: share of the split's rows that are labelled for the head.
    - `cardinality`: mean labels of a labelled row, and `density`: that by the number of labels
      (Tsoumakas & Katakis 2007); a multiclass head has a cardinality of 1.
    - `entropy`: Shannon entropy of the labels that apply, in bits, and `normalised_entropy`: that by the
      log2 of the number of labels, 1 where all are equally frequent and 0 where one is alone.
    - `imbalance`: rows of the most frequent label by those of the rarest that occurs (MaxIR of
      Charte et al. 2015).
    - `missing`: labels that apply to no row of the split, sorted.

    Args:
        counts: label → rows to which it applies, all labels of the head.
        labelled: rows of the split that are labelled for the head.
        rows: all rows of the split.
    """
    applied = sum(counts.values())
    seen = np.array([count for count in counts.values() if count], dtype=np.float64)
    entropy = None
    if applied:
        shares = seen / applied
        entropy = float(max(0.0, -np.sum(shares * np.log2(shares))))
    cardinality = applied / labelled if labelled else None
    return {
        "coverage": labelled / rows if rows else None,
        "cardinality": cardinality,
        "density": None if cardinality is None or not counts else cardinality / len(counts),
        "entropy": entropy,
        "normalised_entropy": None
        if entropy is None or len(counts) < 2
        else entropy / math.log2(len(counts)),
        "imbalance": float(seen.max() / seen.min()) if seen.size else None,
        "missing": sorted(label for label, count in counts.items() if not count),
    }


def _counts(cells: pl.DataFrame, labels: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Split → label → rows that name it.

    Args:
        cells: `split`, `label`: a label or a list of them.
    """
    if cells.schema["label"] == pl.List(pl.String):
        cells = cells.explode("label")
    counted = cells.drop_nulls("label").group_by("split", "label").len().iter_rows()
    found = {(split, label): count for split, label, count in counted}
    return {split: {label: found.get((split, label), 0) for label in labels} for split in SPLITS}


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
