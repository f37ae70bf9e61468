"""What a dataset's content is, as one digest: independent of paths, machines and the order of rows.

The bytes that are hashed are those of plain numpy arrays and JSON, never of a file format, so that a
newer library does not change a fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np
import polars as pl

from model.spec import SPLITS, HeadSpec
from sources.merge.rows_folder import label_codes, string_bytes

VERSION = 1
"""Part of every fingerprint: raise it when rows are encoded in another way."""
_SLICE_ROWS = 500_000
"""Observations that are hashed at a time."""


def head_fingerprint(dataset: pl.DataFrame, name: str, head: HeadSpec) -> str:
    """SHA-256 over a head's labelled rows: kind, labels in order, and for each row, sorted by text id,
    the id, the split, the weight and the target. Rows that it does not label change nothing.

    Args:
        dataset: `text_id`, `split`, `weight`, `head:H`, `unknown:H`, sorted by `text_id`.
    """
    column = f"head:{name}"
    wanted = [column, f"unknown:{name}"] if head.kind == "multilabel" else [column]
    part = dataset.select("text_id", "split", "weight", *wanted).filter(pl.col(column).is_not_null())
    digest = hashlib.sha256()
    digest.update(json.dumps([VERSION, head.kind, list(head.labels)]).encode())
    _update_rows(digest, part)
    for column in wanted:
        cells = part[column]
        if head.kind == "multilabel":
            digest.update(cells.list.len().to_numpy().astype("<u4").tobytes())
            cells = cells.explode().drop_nulls()
        digest.update(label_codes(cells, head.labels).to_numpy().astype("<i4").tobytes())
    return digest.hexdigest()


def dataset_fingerprint(dataset: pl.DataFrame, head_fingerprints: Mapping[str, str]) -> str:
    """SHA-256 over all rows (id, split, weight, group) and the fingerprints of all heads.

    Texts enter through their ids, which are digests of them.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps([VERSION, dict(sorted(head_fingerprints.items()))]).encode())
    _update_rows(digest, dataset)
    groups = dataset["group"].to_list() if dataset["group"].null_count() < dataset.height else []
    digest.update(json.dumps(groups).encode())
    return digest.hexdigest()


def evidence_digest(
    observations: pl.LazyFrame, heads: Mapping[str, HeadSpec], kept: pl.DataFrame, said: object
) -> str:
    """A digest of what a dataset folder holds beside its content: places, findings, settings, the columns
    `kept` for slices, and what is `said` of the sources and their labels (plain JSON). A folder is used
    again only if this digest is equal too. It may change with the version of polars; then the folder is only
    written anew."""
    digest = hashlib.sha256(repr(sorted(heads.items())).encode())
    digest.update(json.dumps(said, sort_keys=True).encode())
    start, slice_ = 0, observations.slice(0, _SLICE_ROWS).collect()
    while slice_.height:
        digest.update(slice_.hash_rows(seed=17).to_numpy().tobytes())
        start += _SLICE_ROWS
        slice_ = observations.slice(start, _SLICE_ROWS).collect()
    if kept.width:
        digest.update(json.dumps(kept.columns).encode())
        digest.update(kept.hash_rows(seed=17).to_numpy().tobytes())
    return digest.hexdigest()


def _update_rows(digest: hashlib._Hash, rows: pl.DataFrame) -> None:
    digest.update(string_bytes(rows["text_id"]))
    digest.update(label_codes(rows["split"], SPLITS).to_numpy().astype(np.uint8).tobytes())
    digest.update(rows["weight"].to_numpy().astype("<f4").tobytes())
