"""Which labels of a multilabel head stand on the same texts, from the long table of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_array


def cooccurrence(dataset: Path, head: str, labels: Sequence[str]) -> NDArray[np.float64]:
    """Share of the texts with label i, of those that know label j, that carry label j, over all splits:
    (K, K), rows by i.

    The diagonal is 1 where the label occurs at all; a label that never occurs gives a row of 0. Where no
    text with label i knows label j (another source labelled it) nothing is known: NaN.
    """
    table = pq.read_table(
        dataset / "labels.parquet", columns=["text_id", "label"], filters=[("head", "==", head)]
    )
    holds, ids = _incidence(table["text_id"], table["label"], labels, None)
    counts = (holds.T @ holds).toarray().astype(np.float64)
    known = np.repeat(np.diag(counts)[:, None], len(labels), axis=1)
    column = f"unknown:{head}"
    if column in pq.read_schema(dataset / "dataset.parquet").names:
        rows = pq.read_table(dataset / "dataset.parquet", columns=["text_id", column])
        cells = rows[column].combine_chunks()
        parents = rows["text_id"].combine_chunks().take(pc.list_parent_indices(cells))
        unknown, _ = _incidence(pa.chunked_array([parents]), pa.chunked_array([cells.flatten()]), labels, ids)
        known -= (holds.T @ unknown).toarray()
    shares: NDArray[np.float64] = np.divide(counts, known, out=np.full_like(counts, np.nan), where=known > 0)
    shares[np.diag(counts) == 0] = 0.0
    return shares


def _incidence(
    text_ids: pa.ChunkedArray, names: pa.ChunkedArray, labels: Sequence[str], ids: pa.Array | None
) -> tuple[csr_array, pa.Array]:
    """Texts by labels, 1 where a pair stands: (N, K), and the N ids; others than `ids` are left out."""
    at = pc.index_in(names, value_set=pa.array(list(labels), pa.string()))
    if ids is None:
        ids = pc.unique(text_ids.filter(pc.is_valid(at)))
    rows = pc.index_in(text_ids, value_set=ids)
    kept = pc.and_(pc.is_valid(at), pc.is_valid(rows))
    places = tuple(column.filter(kept).combine_chunks().to_numpy() for column in (rows, at))
    ones = np.ones(len(places[0]), dtype=np.int64)
    return csr_array((ones, places), shape=(len(ids), len(labels))), ids
