"""The tables of the dataset folder, made of merged rows and texts. Does not know files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from model.spec import HeadSpec
from sources.labels.doubts import BIT
from sources.labels.find_targets import columns_of
from sources.labels.settle import doubtful
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


def without_unseen(
    texts: pl.DataFrame, heads: Mapping[str, HeadSpec], codes: Mapping[str, TargetCodes]
) -> tuple[pl.DataFrame, dict[str, dict[str, dict[str, int]]]]:
    """(The texts without labels that a head does not have because no training row has them; head → label →
    split → texts that had it.) Of a multiclass head such a text is unlabelled, of a multilabel one the
    label alone is left out.

    Args:
        heads: with labels filled in.
    """
    left: dict[str, dict[str, dict[str, int]]] = {}
    for head, spec in heads.items():
        column, of_head = columns_of(head).target, codes[head]
        counts = texts.group_by("split", column).len().drop_nulls().sort("split", column)
        unseen = {code: set(of_head.targets[code].positives) - set(spec.labels) for code in counts[column]}
        if not any(unseen.values()):
            continue
        by_label: dict[str, dict[str, int]] = {}
        for split, code, rows in counts.iter_rows():
            for label in sorted(unseen[code]):
                of_label = by_label.setdefault(label, {})
                of_label[split] = of_label.get(split, 0) + rows
        left[head] = by_label
        kept: dict[int, int | None] = {}
        for code, labels in unseen.items():
            if labels and spec.kind == "multiclass":
                kept[code] = None
            elif labels:
                kept[code] = of_head.code(of_head.targets[code].without(labels))
        texts = texts.with_columns(pl.col(column).replace(kept))
    return texts, left


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
    origins = pl.col("origins").cast(pl.List(pl.Struct({"source": pl.String, "line": pl.Int64})))
    texts = texts.select("text_id", "text", "split", "weight", "group", origins, *kept_columns(texts))
    return texts.with_columns(columns)


def _lists(labels: Sequence[tuple[str, ...]]) -> pl.Series:
    return pl.Series(list(map(list, labels)), dtype=pl.List(pl.String))


def kept_columns(table: pl.DataFrame) -> list[str]:
    """The columns that sources keep for slices."""
    return [column for column in table.columns if column.startswith(KEPT)]


def observations_table(rows: pl.DataFrame, heads: Mapping[str, HeadSpec]) -> pl.LazyFrame:
    """`observations.parquet`: every input row; `RULE:HEAD` for each doubt that any row of the head has, null
    where the row has neither labels nor a doubt. Lazy: whole it would need as much memory as the rows."""
    names = {head: columns_of(head) for head in heads}
    given = pl.col("given").replace_strict(SPLIT_OF, default=None, return_dtype=pl.String)
    return rows.lazy().select(
        pl.col("source").cast(pl.String),
        "line",
        pl.col("file").cast(pl.String),
        "text_id",
        "text",
        given.alias("split_given"),
        *(pl.col(n.count).alias(f"count:{head}") for head, n in names.items()),
        *(pl.col(n.unknown_label).is_not_null().alias(f"unknown_label:{head}") for head, n in names.items()),
        *(f"{flag}:{head}" for flag in FLAGS for head in names),
        *(
            pl.when(pl.col(n.count).is_not_null() | has_doubt)
            .then(has_doubt.fill_null(False))
            .alias(f"{rule}:{head}")
            for head, n in names.items()
            for rule in doubtful(rows, head)
            for has_doubt in [pl.col(n.doubt) & BIT[rule] != 0]
        ),
        "in_two_splits",
        pl.col("text").str.len_chars().cast(pl.Int32).alias("chars"),
    )


def labels_table(dataset: pl.DataFrame, heads: Mapping[str, HeadSpec]) -> pl.LazyFrame:
    """`labels.parquet`: one row for each label that applies to a text. Lazy, as the observations are."""
    parts = []
    for name, head in heads.items():
        part = dataset.lazy().select("text_id", "split", pl.lit(name).alias("head"), label=f"head:{name}")
        if head.kind == "multilabel":
            part = part.explode("label")
        parts.append(part.drop_nulls("label"))
    return pl.concat(parts)
