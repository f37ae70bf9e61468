"""Which rows of a dataset each source gave, as masks in the order of the rows folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.spec import SPLITS, SplitName


def rows_of_sources(dataset: Path, most: int) -> dict[str, dict[SplitName, NDArray[np.bool_]]]:
    """Source → split → (N,) whether the source gave the text, for the first `most` rows of each split. A text
    that stands in several sources counts for each.

    Raises:
        OSError: the dataset's table cannot be read.
    """
    table = pl.scan_parquet(dataset / "dataset.parquet").select("split", "origins")
    given: dict[SplitName, pl.Series] = {}
    for split in SPLITS:
        part = table.filter(pl.col("split") == split).head(most)
        names = pl.col("origins").list.eval(pl.element().struct.field("source"))
        given[split] = part.select(names).collect()["origins"]
    found = sorted(
        {name for names in given.values() for name in names.explode().unique() if name is not None}
    )
    return {
        name: {split: names.list.contains(name).fill_null(False).to_numpy() for split, names in given.items()}
        for name in found
    }
