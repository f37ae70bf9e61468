"""Write each split as a parquet file whose labels the `datasets` library reads as `ClassLabel`.

    load_dataset("parquet", data_files="…/splits/train.parquet")["train"].features["head:topic"].names

The library stores such labels as numbers, and keeps their names in the file's metadata under `huggingface`;
where a column holds strings it takes no names. Written without the library, which takes seconds to import.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_never

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from model.spec import SPLITS, HeadSpec

ROWS_TOGETHER = 50_000
"""Rows that are written at once: few enough for little memory, and for the offsets of 32 bits that the
library's own types have."""
_PLAIN = ("text_id", "text", "weight")


def write_class_labels(dataset: pl.DataFrame, heads: Mapping[str, HeadSpec], folder: Path) -> None:
    """Write `S.parquet` for each split S that has rows: text and, as numbers with names, `head:H` and, for
    multilabel, `unknown:H`; null where the text is unlabelled.

    Args:
        dataset: as in `dataset.parquet`.
        heads: with labels filled in.
        folder: made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    features: dict[str, Any] = {
        name: {"dtype": str(dataset.schema[name]).lower(), "_type": "Value"} for name in _PLAIN
    }
    coded = []
    for name, head in heads.items():
        names = {"names": list(head.labels), "_type": "ClassLabel"}
        index = {label: at for at, label in enumerate(head.labels)}
        match head.kind:
            case "multiclass":
                features[f"head:{name}"] = names
                coded.append(_codes(pl.col(f"head:{name}"), index))
            case "multilabel":
                for column in (f"head:{name}", f"unknown:{name}"):
                    features[column] = {"feature": names, "_type": "List"}
                    coded.append(pl.col(column).list.eval(_codes(pl.element(), index)))
            case _:
                assert_never(head.kind)
    metadata = {"huggingface": json.dumps({"info": {"features": features}}, ensure_ascii=False)}
    for split in SPLITS:
        with contextlib.ExitStack() as stack:
            writer: pq.ParquetWriter | None = None
            for part in dataset.iter_slices(ROWS_TOGETHER):
                found = part.filter(pl.col("split") == split).select(*_PLAIN, *coded)
                if not found.height:
                    continue
                table = found.to_arrow(compat_level=pl.CompatLevel.oldest())
                table = table.cast(pa.schema([_narrow(field) for field in table.schema]))
                table = table.replace_schema_metadata(metadata)
                if writer is None:
                    path = folder / f"{split}.parquet"
                    writer = stack.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd"))
                writer.write_table(table)


def _codes(column: pl.Expr, index: Mapping[str, int]) -> pl.Expr:
    return column.replace_strict(index, default=None, return_dtype=pl.Int64)


def _narrow(field: pa.Field) -> pa.Field:
    """The field with the library's own types: strings and lists with 32-bit offsets."""
    if pa.types.is_large_string(field.type):
        return field.with_type(pa.string())
    if pa.types.is_large_list(field.type):
        return field.with_type(pa.list_(field.type.value_type))
    return field
