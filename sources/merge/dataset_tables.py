"""The tables of the dataset folder, made of merged rows and texts. Does not know files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from model.spec import HeadSpec
from sources.labels.find_targets import columns_of
from sources.labels.target_codes import Target, TargetCodes
from sources.merge.conflicts import FLAGS
from sources.merge.join import KEPT
from sources.merge.split import SPLIT_OF


def used_targets(texts: pl.DataFrame, codes: Mapping[str, TargetCodes]) -> dict[str, dict[str, list[Target]]]:
    """Head → split → the distinct targets of its texts."""
    used: dict[str, dict[str, list[Target]]] = {}
    for head, of_head in codes.items():
        column = columns_of(head).target
        used[head] = {}
        for split, code in (
            texts.select("split", column).drop_nulls().unique().sort("split", column).iter_rows()
        ):
            used[head].setdefault(split, []).append(of_head.targets[code])
    return used


def dataset_table(
    texts: pl.DataFrame, heads: Mapping[str, HeadSpec], codes: Mapping[str, TargetCodes]
) -> pl.DataFrame:
    """`dataset.parquet`: one row a text, with `head:H` and, for multilabel, `unknown:H`."""
    columns = []
    for name, head in heads.items():
        of_text = texts[columns_of(name).target].cast(pl.UInt32)
        targets = codes[name].targets
        if head.kind == "multiclass":
            labels = pl.Series([target.positives[0] for target in targets], dtype=pl.String)
            columns.append(labels.gather(of_text).alias(f"head:{name}"))
        else:
            positives = [target.positives for target in targets]
            unknown = [target.unknown(head.labels) for target in targets]
            columns += [
                _lists(positives).gather(of_text).alias(f"head:{name}"),
                _lists(unknown).gather(of_text).alias(f"unknown:{name}"),
            ]
    texts = texts.select("text_id", "text", "split", "weight", "group", "origins", *kept_columns(texts))
    return texts.with_columns(columns)


def _lists(labels: Sequence[tuple[str, ...]]) -> pl.Series:
    return pl.Series(list(map(list, labels)), dtype=pl.List(pl.String))


def kept_columns(table: pl.DataFrame) -> list[str]:
    """The columns that sources keep for slices."""
    return [column for column in table.columns if column.startswith(KEPT)]


def observations_table(rows: pl.DataFrame, heads: Mapping[str, HeadSpec]) -> pl.DataFrame:
    """`observations.parquet`: every input row."""
    names = {head: columns_of(head) for head in heads}
    given = pl.col("given").replace_strict(SPLIT_OF, default=None, return_dtype=pl.String)
    return rows.select(
        "source",
        "line",
        "file",
        "text_id",
        "text",
        given.alias("split_given"),
        *(pl.col(n.count).alias(f"count:{head}") for head, n in names.items()),
        *(pl.col(n.unknown_label).is_not_null().alias(f"unknown_label:{head}") for head, n in names.items()),
        *(f"{flag}:{head}" for flag in FLAGS for head in names),
        "in_two_splits",
        pl.col("text").str.len_chars().cast(pl.Int32).alias("chars"),
    )


def labels_table(dataset: pl.DataFrame, heads: Mapping[str, HeadSpec]) -> pl.DataFrame:
    """`labels.parquet`: one row for each label that applies to a text."""
    parts = []
    for name in heads:
        part = dataset.select("text_id", "split", pl.lit(name).alias("head"), label=f"head:{name}")
        if part.schema["label"] == pl.List(pl.String):
            part = part.explode("label")
        parts.append(part.drop_nulls("label"))
    return pl.concat(parts)
