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
    """Share of the texts with label i that also carry label j, over all splits: (K, K), rows by i.

    The diagonal is 1 where the label occurs at all; a label that never occurs gives a row of 0.
    """
    table = pq.read_table(
        dataset / "labels.parquet", columns=["text_id", "label"], filters=[("head", "==", head)]
    )
    at = pc.index_in(table["label"], value_set=pa.array(list(labels), pa.string()))
    kept = pc.is_valid(at)
    ids = table["text_id"].filter(kept).combine_chunks().dictionary_encode()
    rows, columns = ids.indices.to_numpy(), at.filter(kept).combine_chunks().to_numpy()
    shape = (len(ids.dictionary), len(labels))
    holds = csr_array((np.ones(len(rows), dtype=np.int64), (rows, columns)), shape=shape)
    both = (holds.T @ holds).toarray().astype(np.float64)
    return np.asarray(both / np.maximum(np.diag(both), 1.0)[:, None])
