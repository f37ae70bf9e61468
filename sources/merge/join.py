"""Join the rows of all sources into one row a text: order of rows and sources changes nothing.

Rows are all input rows; texts are what is left when rows with the same text are joined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from model.spec import HeadSpec
from sources.formats.table import FILE, GIVEN, LINE
from sources.labels.answers import AnswerBook
from sources.labels.targets import columns_of
from sources.merge.conflicts import settle_texts
from sources.merge.identity import identity, text_ids
from sources.merge.split import CODES, join_groups
from sources.spec import SourceSpec, SplitSpec

KEPT = "column:"
"""Prefix of a column that a source keeps (`SourceSpec.keep`), in the rows, the texts and the dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """All rows and all texts, before splits are assigned."""

    rows: pl.DataFrame
    """One row an input row, sorted by source, file and line: `source`, `file`, `line`, `given` (int8),
    `text` (identity text, null = missing), `text_id` (null = missing or blank), `group`, `weight`, and
    per head H `answer:H`, `count:H`, `stranger:H`, `conflict:H`, `conflict_within:H` (a source contradicts
    itself on this text), `conflict_between:H` (two sources contradict each other); `in_two_splits`."""
    texts: pl.DataFrame
    """One row a distinct text, sorted by `text_id`: `text`, `given`, `weight`, `group`, `origins`, and
    per head `answer:H` and `labelled:H` (whether any of its rows has a cell for it, understood or not)."""


def source_rows(
    name: str,
    frame: pl.DataFrame,
    spec: SourceSpec,
    heads: Mapping[str, HeadSpec],
    kept: Sequence[str] = (),
) -> pl.DataFrame:
    """One source's table (after `sources.labels.targets`) in the columns that all sources share.

    Columns: `source`, `file`, `line`, `given`, `text`, `text_id`, `group`, `weight`, per head `answer:H`,
    `count:H`, `stranger:H` (null throughout for a head that this source does not label), and `column:C` for
    each of `kept`, the columns that any source keeps (null where this one does not).
    """
    text = identity(pl.col(spec.text))
    group = pl.col(spec.group).replace("", None) if spec.group else pl.lit(None, dtype=pl.String)
    columns = [
        pl.lit(name).alias("source"),
        pl.col(FILE).alias("file"),
        pl.col(LINE).alias("line"),
        pl.col(GIVEN).replace_strict(CODES, default=None, return_dtype=pl.Int8).alias("given"),
        text.alias("text"),
        group.alias("group"),
        pl.lit(spec.weight, dtype=pl.Float32).alias("weight"),
    ]
    for head in heads:
        names = columns_of(head)
        if head in spec.heads:
            columns += [pl.col(names.answer), pl.col(names.count), pl.col(names.unknown)]
        else:
            columns += [
                pl.lit(None, dtype=pl.Int32).alias(names.answer),
                pl.lit(None, dtype=pl.Int32).alias(names.count),
                pl.lit(None, dtype=pl.String).alias(names.unknown),
            ]
    for column in kept:
        value = pl.col(column).replace("", None) if column in spec.keep else pl.lit(None, dtype=pl.String)
        columns.append(value.alias(f"{KEPT}{column}"))
    rows = frame.select(columns)
    ids = text_ids(rows.select(pl.col("text").replace("", None)).to_series())
    return rows.with_columns(ids.alias("text_id"))


def merge_rows(
    rows: pl.DataFrame,
    heads: Mapping[str, HeadSpec],
    books: Mapping[str, AnswerBook],
    weights: Mapping[str, float],
    split: SplitSpec,
) -> Merged:
    """Join rows with the same text.

    A text's weight is the largest of its rows'. Its group is the smallest of its rows' groups, all
    groups that share a text being one. Answers are joined by `sources.merge.conflicts`.

    Args:
        rows: the rows of all sources (`source_rows`), in any order.
        books: head → its answers; answers that arise from joining are added.
        weights: source → weight of a row in a majority vote.
    """
    rows = rows.sort("source", "file", "line")
    answer = {head: columns_of(head).answer for head in heads}
    kept = [column for column in rows.columns if column.startswith(KEPT)]
    texts = (
        rows.lazy()
        .filter(pl.col("text_id").is_not_null())
        .group_by("text_id")
        .agg(
            pl.col("text").first(),
            pl.col("given").max(),
            pl.col("given").min().alias("given_least"),
            pl.col("weight").max(),
            pl.col("group").min(),
            pl.col("group").max().alias("group_last"),
            pl.struct("source", "line").alias("origins"),
            *(pl.col(column).min() for column in kept),
            *(pl.col(column).min() for column in answer.values()),
            *(pl.col(column).max().alias(f"most:{head}") for head, column in answer.items()),
            *(pl.col(columns_of(head).count).is_not_null().any().alias(f"labelled:{head}") for head in heads),
        )
        .sort("text_id")
        .collect()
    )
    texts = _one_group(rows, texts)
    shared = texts.filter(pl.col("given") != pl.col("given_least"))["text_id"]
    rows = rows.with_columns(
        pl.col("text_id").is_in(shared.implode()).fill_null(False).alias("in_two_splits")
    )
    for head, column in answer.items():
        texts, disputed = _one_answer(rows, texts, head, column, heads, books, weights, split)
        answered = pl.col(column).is_not_null()
        rows = rows.with_columns(
            (pl.col("text_id").is_in(ids.implode()).fill_null(False) & answered).alias(f"{name}:{head}")
            for name, ids in disputed.items()
        )
    return Merged(
        rows=rows,
        texts=texts.select(
            "text_id",
            "text",
            "given",
            "weight",
            "group",
            "origins",
            *kept,
            *answer.values(),
            *(f"labelled:{head}" for head in heads),
        ),
    )


def _one_group(rows: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """Give all groups that share a text one name."""
    several = texts.filter(pl.col("group") != pl.col("group_last"))["text_id"]
    if several.len() == 0:
        return texts
    pairs = rows.filter(pl.col("text_id").is_in(several.implode()) & pl.col("group").is_not_null())
    names = join_groups(pairs.select("text_id", "group"))
    return texts.with_columns(pl.col("group").replace(names))


def _one_answer(
    rows: pl.DataFrame,
    texts: pl.DataFrame,
    head: str,
    column: str,
    heads: Mapping[str, HeadSpec],
    books: Mapping[str, AnswerBook],
    weights: Mapping[str, float],
    split: SplitSpec,
) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    """`texts` with one answer a text for `head`, and the ids of texts whose answers are in conflict:
    `conflict` for all, `conflict_within` a source and `conflict_between` sources."""
    differing = texts.filter(pl.col(column) != pl.col(f"most:{head}"))["text_id"]
    if differing.len() == 0:
        return texts, {"conflict": differing, "conflict_within": differing, "conflict_between": differing}
    votes = rows.filter(pl.col("text_id").is_in(differing.implode()) & pl.col(column).is_not_null()).select(
        "text_id", "source", pl.col(column).alias("answer")
    )
    settled = settle_texts(votes, heads[head].kind, books[head], split, dict(weights))
    joined = texts.join(
        settled.with_columns(settled=pl.lit(True)), on="text_id", how="left", maintain_order="left"
    ).with_columns(pl.when(pl.col("settled")).then("answer").otherwise(column).alias(column))
    disputed = {
        "conflict": settled.filter("conflict")["text_id"],
        "conflict_within": settled.filter("within")["text_id"],
        "conflict_between": settled.filter("between")["text_id"],
    }
    return joined.drop("answer", "conflict", "within", "between", "settled"), disputed
