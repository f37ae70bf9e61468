"""Join the rows of all sources into one row a text: order of rows and sources changes nothing.

Rows are all input rows; texts are what is left when rows with the same text are joined.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from model.spec import HeadSpec
from sources.formats.table import FILE, GIVEN, LINE
from sources.labels.find_targets import columns_of
from sources.labels.target_codes import TargetCodes
from sources.merge.conflicts import FLAGS, resolve_conflicts
from sources.merge.identity import identity, text_ids
from sources.merge.rows_folder import string_bytes
from sources.merge.split import CODES, join_groups
from sources.spec import SourceSpec, SplitSpec

PART_ROWS = 500_000
"""Rows from which they are joined in sixteen parts."""
KEPT = "column:"
"""Prefix of a column that a source keeps (`SourceSpec.keep`), in the rows, the texts and the dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """All input rows, with targets found."""

    frame: pl.DataFrame
    """`source_rows` of every source."""
    codes: Mapping[str, TargetCodes]
    """Head → codes of its targets; those that arise from joining are added."""
    weights: Mapping[str, float]
    """Source → weight of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """All rows and all texts, before splits are assigned."""

    rows: pl.DataFrame
    """One row an input row, sorted by source, file and line: the columns of `source_rows`, `in_two_splits`,
    and per head H `conflict:H`, `conflict_within:H` (a source contradicts itself on this text) and
    `conflict_between:H` (two sources contradict each other)."""
    texts: pl.DataFrame
    """One row a distinct text, sorted by `text_id`: `text`, `given`, `weight`, `group`, `origins`, the kept
    columns, and per head `target:H` and `labelled:H` (whether any of its rows has a cell for it, understood
    or not)."""


def source_rows(
    name: str, frame: pl.DataFrame, spec: SourceSpec, heads: Mapping[str, HeadSpec], kept: Sequence[str] = ()
) -> pl.DataFrame:
    """One source's table (after `sources.labels.find_targets`) in the columns that all sources share.

    Columns: `source` and `file` (categorical), `line`, `given` (int8), `text` (identity text, null =
    missing), `text_id` (null = missing or blank), `group`, `weight`, per head `target:H`, `count:H`,
    `unknown_label:H`, `doubt:H` (null throughout for a head that this source does not label), and `column:C`
    for each of `kept`, the columns that any source keeps (null where this one does not).
    """
    nothing = pl.lit(None, dtype=pl.String)
    columns = [
        pl.lit(name).cast(pl.Categorical).alias("source"),
        pl.col(FILE).cast(pl.Categorical).alias("file"),
        pl.col(LINE).alias("line"),
        pl.col(GIVEN).replace_strict(CODES, default=None, return_dtype=pl.Int8).alias("given"),
        identity(pl.col(spec.text)).alias("text"),
        (pl.col(spec.group).replace("", None) if spec.group else nothing).alias("group"),
        pl.lit(spec.weight, dtype=pl.Float32).alias("weight"),
    ]
    for head in heads:
        for column, kind in columns_of(head).schema.items():
            cells = pl.col(column) if head in spec.heads else pl.lit(None, dtype=kind)
            # Few words, millions of times: as strings they would fill the memory.
            few = column == columns_of(head).unknown_label
            columns.append((cells.cast(pl.Categorical) if few else cells).alias(column))
    for column in kept:
        value = pl.col(column).replace("", None) if column in spec.keep else nothing
        columns.append(value.alias(f"{KEPT}{column}"))
    rows = frame.select(columns)
    ids = text_ids(rows.select(pl.col("text").replace("", None)).to_series())
    return rows.with_columns(ids.alias("text_id"))


def merge_rows(all_rows: Rows, heads: Mapping[str, HeadSpec], split: SplitSpec) -> Merged:
    """Join rows with the same text, in whatever order they come.

    A text's weight is the largest of its rows'. Its group is the smallest of its rows' groups, all
    groups that share a text being one. Targets are joined by `sources.merge.conflicts`.
    """
    rows = in_order(all_rows.frame)
    kept = [column for column in rows.columns if column.startswith(KEPT)]
    texts = _one_group(rows, _by_text(rows, heads, kept))
    shared = texts.filter(pl.col("given") != pl.col("given_least"))["text_id"]
    rows = rows.with_columns(_is_among(shared).alias("in_two_splits"))
    for head, spec in heads.items():
        column = columns_of(head).target
        differing = texts.filter(pl.col(column) != pl.col(f"most:{head}"))["text_id"]
        given = rows.select(
            pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"),
            "text_id",
            pl.col("source"),
            pl.col(column).alias("target"),
        ).filter(_is_among(differing) & pl.col("target").is_not_null())
        codes, weights = all_rows.codes[head], dict(all_rows.weights)
        cases = given.select("text_id", pl.col("source").cast(pl.String), "target")
        resolved = resolve_conflicts(cases, spec.kind, codes, split, weights)
        flags = given.select("row", "text_id").join(resolved, on="text_id", how="left", maintain_order="left")
        rows = rows.with_columns(
            _true_at(flags.filter(flag)["row"], rows.height).alias(f"{flag}:{head}") for flag in FLAGS
        )
        if resolved.height:
            chosen = texts[column].scatter(
                texts["text_id"].search_sorted(resolved["text_id"]), resolved["target"].cast(pl.Int32)
            )
            texts = texts.with_columns(chosen.alias(column))
    targets = [columns_of(head).target for head in heads]
    labelled = [f"labelled:{head}" for head in heads]
    columns = ["text_id", "text", "given", "weight", "group", "origins", *kept, *targets, *labelled]
    return Merged(rows=rows, texts=texts.select(columns))


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows by source, file and line; the first two become enumerations of their names, in order."""
    names = {c: sorted(rows[c].unique().cast(pl.String)) for c in ("source", "file")}
    rows = rows.with_columns(pl.col(c).cast(pl.Enum(found)) for c, found in names.items())
    source, file, line = pl.col("source").to_physical(), pl.col("file").to_physical(), pl.col("line")
    earlier = (source < source.shift()) | (
        (source == source.shift())
        & ((file < file.shift()) | ((file == file.shift()) & (line < line.shift())))
    )
    if not rows.select(earlier.any()).item():  # as they are read, mostly: spares the memory of a second table
        return rows
    return rows.sort("source", "file", "line")


def _true_at(places: pl.Series, rows: int) -> pl.Series:
    found = np.zeros(rows, dtype=np.bool_)
    found[places.to_numpy()] = True
    return pl.Series(found)


def _is_among(ids: pl.Series) -> pl.Expr:
    """Whether a row's text is one of `ids`."""
    return pl.col("text_id").is_in(ids.implode()).fill_null(False)


def _by_text(rows: pl.DataFrame, heads: Mapping[str, HeadSpec], kept: Sequence[str]) -> pl.DataFrame:
    """One row a text, sorted by its id; of what its rows may differ in, the least and the most.

    Texts are told apart and sorted by their ids as numbers. Many rows are taken by the first digit, so that
    what is needed while they are joined stays small; of texts and ids nothing is copied.
    """
    some = rows.select(
        *("given", "weight", "source", "line", *kept),
        *(() if rows["group"].null_count() == rows.height else ("group",)),
        *(column for head in heads for column in (columns_of(head).target, columns_of(head).count)),
    ).with_columns(_numbers(rows["text_id"]))
    first_digit = pl.col("number") // 2**60
    parts = [first_digit == digit for digit in range(16)] if rows.height > PART_ROWS else [pl.lit(True)]
    texts = pl.concat(
        [_texts_of(some.lazy().filter(pl.col("number").is_not_null() & part), heads, kept) for part in parts]
    )
    first = texts["row"]
    if "group" not in texts:
        nothing = pl.lit(None, dtype=pl.String)
        texts = texts.with_columns(nothing.alias("group"), nothing.alias("group_last"))
    return texts.drop("row").with_columns(rows["text_id"].gather(first), rows["text"].gather(first))


def _numbers(text_ids: pl.Series) -> list[pl.Series]:
    """`row`; `number` and `rest`: the first and the last 64 bits of each id, null where there is none."""
    halves = np.zeros((2, len(text_ids)), dtype=np.uint64)
    there = text_ids.is_not_null().to_numpy()
    for start in range(0, len(text_ids), PART_ROWS):
        part = slice(start, start + PART_ROWS)
        raw = binascii.unhexlify(string_bytes(text_ids[part].drop_nulls()))
        halves[:, part][:, there[part]] = np.frombuffer(raw, dtype=">u8").reshape(-1, 2).T
    known = pl.Series(there)
    number = pl.select(pl.when(known).then(pl.Series(halves[0]))).to_series()
    row = pl.int_range(len(text_ids), dtype=pl.UInt32, eager=True)
    return [row.alias("row"), number.alias("number"), pl.Series("rest", halves[1])]


def _texts_of(rows: pl.LazyFrame, heads: Mapping[str, HeadSpec], kept: Sequence[str]) -> pl.DataFrame:
    names = {head: columns_of(head) for head in heads}
    columns = rows.collect_schema().names()
    found = [
        pl.col("row").first(),
        pl.col("rest").min(),
        pl.col("rest").max().alias("rest_last"),
        pl.col("given").max(),
        pl.col("given").min().alias("given_least"),
        pl.col("weight").max(),
        *([pl.col("group").min(), pl.col("group").max().alias("group_last")] if "group" in columns else []),
        pl.struct("source", "line").alias("origins"),
        *(pl.col(column).min() for column in kept),
        *(pl.col(n.target).min() for n in names.values()),
        *(pl.col(n.target).max().alias(f"most:{head}") for head, n in names.items()),
        *(pl.col(n.count).is_not_null().any().alias(f"labelled:{head}") for head, n in names.items()),
    ]
    texts = rows.group_by("number").agg(found).collect()
    if (texts["rest"] != texts["rest_last"]).any():  # two ids that begin alike, once in a million datasets
        others = [one for one in found if one.meta.root_names() != ["rest"]]
        both = rows.group_by("number", "rest").agg(others)
        return both.sort("number", "rest").drop("number", "rest").collect()
    order = np.argsort(texts["number"].to_numpy())
    return texts.drop("number", "rest", "rest_last")[order]


def _one_group(rows: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """Give all groups that share a text one name."""
    several = texts.filter(pl.col("group") != pl.col("group_last"))["text_id"]
    if several.len() == 0:
        return texts
    names = join_groups(rows.filter(_is_among(several) & pl.col("group").is_not_null()))
    return texts.with_columns(pl.col("group").replace(names))
