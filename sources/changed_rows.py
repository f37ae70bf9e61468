"""How many rows differ between two datasets, head by head."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import polars as pl

_SEPARATOR = "\x1f"


def count_changed_rows(before: Path, now: Path, heads: Collection[str]) -> dict[str, int] | None:
    """Head → texts that are new, gone, or have another target, split or weight; under an empty name all texts
    that differ in anything. None where a dataset can't be read.

    Args:
        before: dataset folder.
        now: dataset folder.
    """
    try:
        tables = [pl.read_parquet(folder / "dataset.parquet") for folder in (before, now)]
        columns = [
            {head: [f"head:{head}", f"unknown:{head}"] for head in heads}
            | {"": [name for name in table.columns if name not in ("text_id", "text")]}
            for table in tables
        ]
        return {
            head: _differing(
                *(_rows(t, c[head], of_head=bool(head)) for t, c in zip(tables, columns, strict=True))
            )
            for head in (*heads, "")
        }
    except (OSError, pl.exceptions.PolarsError):
        return None


def _rows(table: pl.DataFrame, columns: list[str], *, of_head: bool) -> pl.DataFrame:
    """`text_id` and `value`: what a row says, as one string."""
    wanted = [name for name in columns if name in table.columns]
    if of_head:
        table = table.filter(pl.col(wanted[0]).is_not_null()) if wanted else table.clear()
        wanted = ["split", "weight", *wanted]
    said = [
        pl.col(name).cast(pl.List(pl.String)).list.join(_SEPARATOR).fill_null("")
        if isinstance(table.schema[name], pl.List)
        else pl.col(name).cast(pl.String).fill_null("")
        for name in wanted
    ]
    value = pl.concat_str(said, separator=f"{_SEPARATOR}|") if said else pl.lit("")
    return table.select("text_id", value.alias("value"))


def _differing(before: pl.DataFrame, now: pl.DataFrame) -> int:
    joined = before.join(now, on="text_id", how="full", suffix="_now", coalesce=True)
    return joined.filter(pl.col("value").ne_missing(pl.col("value_now"))).height
