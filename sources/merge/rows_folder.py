"""Write the rows folder that `model.rows` reads: texts and targets as plain JSON and numpy arrays.

Rows keep the dataset's order (sorted by text id) within each split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from model.files import write_json
from model.spec import SPLITS, UNLABELLED, HeadSpec

_CHUNK_ROWS = 100_000
"""Rows of a multilabel target array filled at a time."""


def write_rows(dataset: pl.DataFrame, heads: Mapping[str, HeadSpec], folder: Path) -> None:
    """Write `S.texts.jsonl`, `S.weight.npy`, `S.<head>.npy` for each split S, and `rows.json`.

    Targets: multiclass int32 (N,), the label's index or -1 where unlabelled; multilabel int8 (N, L),
    1 or 0, -1 where unknown.

    Args:
        dataset: `text`, `split`, `weight`, `head:H`, `unknown:H`, as in `dataset.parquet`.
        heads: with labels filled in.
        folder: made if it is not there; files in it are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts, digests = {}, {}
    unknown = [f"unknown:{name}" for name, head in heads.items() if head.kind == "multilabel"]
    needed = dataset.select("split", "text", "weight", *(f"head:{name}" for name in heads), *unknown)
    for split in SPLITS:
        part = needed.filter(pl.col("split") == split)
        counts[split] = part.height
        digests[split] = _write_texts(part["text"], folder / f"{split}.texts.jsonl")
        np.save(folder / f"{split}.weight.npy", part["weight"].to_numpy().astype(np.float32))
        for name, head in heads.items():
            path = folder / f"{split}.{name}.npy"
            if head.kind == "multiclass":
                np.save(path, class_targets(part[f"head:{name}"], head.labels))
            else:
                _write_label_targets(part, name, head.labels, path)
    specs = {name: asdict(head) for name, head in heads.items()}
    write_json(folder / "rows.json", {"heads": specs, "rows": counts, "digest": digests})


def class_targets(labelled: pl.Series, labels: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """Index of each label, (N,), -1 where it is null."""
    return label_codes(labelled, labels).fill_null(UNLABELLED).to_numpy().astype(np.int32)


def label_codes(cells: pl.Series, labels: Sequence[str]) -> pl.Series:
    """Index of each label in `labels`, int32; null for what is none of them."""
    return cells.cast(pl.Enum(labels), strict=False).to_physical().cast(pl.Int32)


def label_targets(positives: pl.Series, unknown: pl.Series, labels: tuple[str, ...]) -> npt.NDArray[np.int8]:
    """1 where the label applies, 0 where not, -1 where it is not known: (N, L)."""
    targets = np.zeros((len(positives), len(labels)), dtype=np.int8)
    targets[positives.is_null().to_numpy()] = UNLABELLED
    for lists, value in ((unknown, UNLABELLED), (positives, 1)):
        long = (
            pl.DataFrame({"row": pl.int_range(len(lists), eager=True), "label": lists})
            .explode("label")
            .with_columns(pl.col("label").cast(pl.Enum(labels), strict=False).to_physical())
            .drop_nulls()
        )
        targets[long["row"].to_numpy(), long["label"].to_numpy()] = value
    return targets


def _write_label_targets(part: pl.DataFrame, head: str, labels: tuple[str, ...], path: Path) -> None:
    shape = (part.height, len(labels))
    if part.height == 0:
        np.save(path, np.zeros(shape, dtype=np.int8))
        return
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.int8, shape=shape)
    for start in range(0, part.height, _CHUNK_ROWS):
        chunk = part[start : start + _CHUNK_ROWS]
        out[start : start + chunk.height] = label_targets(
            chunk[f"head:{head}"], chunk[f"unknown:{head}"], labels
        )
    out.flush()


def _write_texts(texts: pl.Series, path: Path) -> str:
    """One JSON string a line; the file's SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as out:
        for start in range(0, texts.len(), _CHUNK_ROWS):
            encoded = pl.struct(t="t").struct.json_encode()
            lines = (
                texts[start : start + _CHUNK_ROWS]
                .to_frame("t")
                .select(encoded.str.strip_prefix('{"t":').str.strip_suffix("}") + "\n")
            )
            block = string_bytes(lines.to_series())
            digest.update(block)
            out.write(block)
    return digest.hexdigest()


def string_bytes(strings: pl.Series) -> memoryview:
    """The UTF-8 of all strings, one after the other, without a Python object for each."""
    joined = strings.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    if len(joined) == 0:
        return memoryview(b"")
    _, offsets, data = joined.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64 if joined.type == pa.large_string() else np.int32)
    first, last = bounds[joined.offset], bounds[joined.offset + len(joined)]
    return memoryview(data)[first:last] if data is not None else memoryview(b"")
