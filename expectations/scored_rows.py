"""The rows of a dataset that are scored, its test rows, in the order in which they are scored.

Knows the dataset's table; does not judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

DATASET_TABLE = "dataset.parquet"
"""Of a dataset folder: one row a text."""


def scored_table(dataset: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The test rows of a dataset folder; some of its columns, by default all.

    Raises:
        OSError: the dataset's table cannot be read.
    """
    read = None if columns is None else ["split", *columns]
    table = pq.read_table(dataset / DATASET_TABLE, columns=read)
    return table.filter(pc.equal(table["split"], "test"))


def read_groups(dataset: Path) -> NDArray[np.integer[Any]] | None:
    """`(N,)` number of each test row's group; a row without a group is one of its own. None where no two test
    rows share a group.

    Raises:
        OSError: the dataset's table cannot be read.
    """
    named = scored_table(dataset, ["group"])["group"].combine_chunks()
    codes = pc.fill_null(pc.dictionary_encode(named.cast("string")).indices, -1)
    numbers = np.array(codes, dtype=np.int64)
    alone = numbers < 0
    numbers[alone] = numbers.max(initial=-1) + 1 + np.arange(int(alone.sum()))
    return numbers if np.unique(numbers).size < numbers.size else None
