"""What a dataset holds, as far as a later one is compared with it: read from its folder, and kept as JSON.

Counts by head, label, source and split, its fingerprint, its test texts, and of each label a sample of texts
by which a new name of the label is known. A text is known by the first 64 bits of its id; the sample is those
with the lowest ids, which are hashes, so that nothing chooses among texts but chance.

Does not know where the record lies (`expectations.seen_texts`), nor what changed (`expectations.changes`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from expectations.changes import Contents, HeadContents, Ids
from expectations.scored_rows import DATASET_TABLE
from model.files import read_json
from model.spec import SPLITS, HeadSpec, head_from_json

KEPT_DIGITS = 16
"""Hex digits of a text's id that are kept: 64 bits."""
KEPT_TEXTS = 200
"""Texts of a label that are kept: a share of 0.5 is then known within 0.07 (two standard errors)."""
MOST_TEXTS = 2**18
"""Texts of all labels of a head that are kept, 2 MB: of more than 1,310 labels each has fewer."""

Codes = NDArray[np.intp]


def contents_of(dataset: Path) -> Contents:
    """What a dataset folder holds, all texts of each label among it.

    Raises:
        OSError: a file of the folder cannot be read.
        ValueError: one is not what it should be.
    """
    about = read_json(dataset / "dataset.json")
    file = pq.ParquetFile(dataset / DATASET_TABLE)
    table = file.read(columns=["text_id", "split"])
    numbers, splits = text_numbers(table["text_id"]), _codes(table["split"], SPLITS)
    given = _given(file.read(columns=["origins"])["origins"], numbers.size)
    heads = {}
    for name, raw in about["heads"].items():
        column = file.read(columns=[f"head:{name}"]).column(0)
        heads[name] = _head(head_from_json(raw), column, numbers, splits, given)
    test = splits == SPLITS.index("test")
    return Contents(
        heads=heads,
        rows=_by_split(splits),
        fingerprint=about["fingerprint"],
        sources={name: _by_split(splits[rows]) for name, rows in given.items()},
        seen=_rising(numbers[~test]),
        test=_rising(numbers[test]),
    )


def contents_of_profile(profile: Mapping[str, Any]) -> Contents | None:
    """What is known of a dataset by its profile alone: no sources, no texts; None without a profile."""
    if not profile.get("heads"):
        return None
    heads = {}
    for name, head in profile["heads"].items():
        splits = head.get("splits", {})
        heads[name] = HeadContents(
            kind=head["kind"],
            labels=tuple(head["labels"]),
            labelled={split: int(splits.get(split, {}).get("labelled", 0)) for split in SPLITS},
            counts={
                label: {split: int(splits.get(split, {}).get("counts", {}).get(label, 0)) for split in SPLITS}
                for label in head["labels"]
            },
        )
    return Contents(heads=heads, rows={split: int(profile["rows"].get(split, 0)) for split in SPLITS})


def contents_to_json(contents: Contents) -> dict[str, Any]:
    """Plain JSON, without the training and validation texts; of each label a sample."""
    heads = {}
    for name, head in contents.heads.items():
        most = max(1, min(KEPT_TEXTS, MOST_TEXTS // max(1, len(head.labels))))
        texts = {label: _written(ids[:most]) for label, ids in (head.texts or {}).items()}
        heads[name] = {
            "kind": head.kind,
            "labels": list(head.labels),
            "labelled": dict(head.labelled),
            "counts": {label: dict(of_label) for label, of_label in head.counts.items()},
            "by_source": {
                source: {label: dict(of_label) for label, of_label in labels.items()}
                for source, labels in head.by_source.items()
            },
            "texts": texts,
        }
    return {
        "fingerprint": contents.fingerprint,
        "rows": dict(contents.rows),
        "sources": {name: dict(rows) for name, rows in (contents.sources or {}).items()},
        "heads": heads,
        "test": _written(_NONE if contents.test is None else contents.test),
    }


def contents_from_json(raw: Any, seen: Ids) -> Contents:
    """What `contents_to_json` wrote.

    Args:
        seen: training and validation texts.

    Raises:
        ValueError: it is something else.
    """
    try:
        heads = {
            name: HeadContents(
                kind=head["kind"],
                labels=tuple(head["labels"]),
                labelled=head["labelled"],
                counts=head["counts"],
                by_source=head["by_source"],
                texts={label: _read(texts) for label, texts in head["texts"].items()},
            )
            for name, head in raw["heads"].items()
        }
        return Contents(
            heads=heads,
            rows=raw["rows"],
            fingerprint=raw["fingerprint"],
            sources=raw["sources"],
            seen=seen,
            test=_read(raw["test"]),
        )
    except (AttributeError, KeyError, TypeError, binascii.Error) as error:
        raise ValueError(f"not a record of a dataset's contents: {type(error).__name__}: {error}") from error


def with_seen(contents: Contents | None, seen: Ids) -> Contents | None:
    """The contents with the training and validation texts."""
    return None if contents is None else replace(contents, seen=seen)


def text_numbers(text_ids: pa.ChunkedArray | pa.Array) -> Ids:
    """(N,) the first 64 bits of text ids, in their order."""
    texts = text_ids.combine_chunks() if isinstance(text_ids, pa.ChunkedArray) else text_ids
    digits = pc.utf8_slice_codeunits(pc.cast(texts, pa.string()), 0, KEPT_DIGITS)
    characters = digits.buffers()[2]
    if characters is None:  # no rows
        return _NONE
    raw = binascii.unhexlify(memoryview(characters)[: len(digits) * KEPT_DIGITS])
    return np.frombuffer(raw, dtype=">u8").astype(np.uint64)


_NONE: Ids = np.empty(0, dtype=np.uint64)


def _head(
    head: HeadSpec, column: pa.ChunkedArray, numbers: Ids, splits: Codes, given: Mapping[str, Codes]
) -> HeadContents:
    """One head.

    Args:
        column: (N,) label or labels of each text.
        given: source → rows (from 0) that it gave, rising.
    """
    cells = column.combine_chunks()
    labelled = splits[cells.is_valid().to_numpy(zero_copy_only=False)]
    if head.kind == "multilabel":
        rows, flat = pc.list_parent_indices(cells).to_numpy(), pc.list_flatten(cells)
    else:
        rows = np.flatnonzero(cells.is_valid().to_numpy(zero_copy_only=False))
        flat = cells.drop_null()
    labels = _codes(flat, head.labels)
    rows, labels = rows[labels >= 0], labels[labels >= 0]
    order = np.lexsort((numbers[rows], labels))
    ends = np.cumsum(np.bincount(labels, minlength=len(head.labels)))
    texts = np.split(numbers[rows][order], ends[:-1]) if head.labels else []
    by_source = {}
    for source, of_source in given.items():
        inside = np.zeros(numbers.size, dtype=np.bool_)
        inside[of_source] = True
        here = inside[rows]
        counted = _by_label(head.labels, labels[here], splits[rows[here]])
        by_source[source] = {label: of for label, of in counted.items() if any(of.values())}
    return HeadContents(
        kind=head.kind,
        labels=head.labels,
        labelled=_by_split(labelled),
        counts=_by_label(head.labels, labels, splits[rows]),
        by_source=by_source,
        texts=dict(zip(head.labels, texts, strict=True)),
    )


def _given(origins: pa.ChunkedArray, rows: int) -> dict[str, Codes]:
    """Source → rows that it gave, rising."""
    lists = origins.combine_chunks()
    parents = pc.list_parent_indices(lists).to_numpy()
    names = pc.dictionary_encode(pc.struct_field(pc.list_flatten(lists), "source").cast(pa.string()))
    codes, values = names.indices.to_numpy(zero_copy_only=False), names.dictionary.to_pylist()
    return {
        name: np.flatnonzero(np.bincount(parents[codes == code], minlength=rows))
        for name, code in sorted((name, code) for code, name in enumerate(values))
    }


def _codes(cells: pa.Array | pa.ChunkedArray, values: tuple[str, ...]) -> Codes:
    """(N,) the position of each cell in `values`, -1 where it is none of them."""
    found = pc.index_in(pc.cast(cells, pa.string()), value_set=pa.array(values, pa.string()))
    plain = pc.fill_null(found, -1)
    return np.asarray(plain.to_numpy(), dtype=np.intp)


def _by_split(splits: Codes) -> dict[str, int]:
    counted = np.bincount(splits, minlength=len(SPLITS))
    return {split: int(counted[at]) for at, split in enumerate(SPLITS)}


def _by_label(labels: tuple[str, ...], codes: Codes, splits: Codes) -> dict[str, dict[str, int]]:
    counted = np.bincount(codes * len(SPLITS) + splits, minlength=len(labels) * len(SPLITS))
    table = counted.reshape(-1, len(SPLITS))
    return {
        label: {split: int(table[at, of]) for of, split in enumerate(SPLITS)}
        for at, label in enumerate(labels)
    }


def _rising(numbers: Ids) -> Ids:
    """The numbers, rising, each once."""
    return np.unique(numbers)


def _written(ids: Ids) -> str:
    return base64.b64encode(ids.astype("<u8").tobytes()).decode("ascii")


def _read(written: str) -> Ids:
    return np.frombuffer(base64.b64decode(written, validate=True), dtype="<u8").astype(np.uint64)
