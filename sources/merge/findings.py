"""Offending input rows found while merging, by rule: a table with places and labels, never texts."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from model.spec import HeadSpec
from sources.labels.doubts import BIT
from sources.labels.find_targets import columns_of
from sources.labels.settle import doubtful
from sources.labels.target_codes import TargetCodes
from sources.merge.conflicts import FLAGS
from sources.merge.split import SPLIT_OF

CAP = 1000
"""Most rows listed a rule; the true total stands beside."""

CONFLICT_RULES = dict(zip(FLAGS, ("one_answer", "sources_consistent", "sources_agree"), strict=True))
"""Flag of conflicting rows → rule that they break."""
ALWAYS = (
    *("text_present", "text_not_blank", "single_split", "labels_known", "multiclass_exactly_one"),
    *CONFLICT_RULES.values(),
)
"""Rules that are always checked; `near_duplicates` only where these were looked for."""


def find_offending_rows(
    rows: pl.DataFrame,
    heads: Mapping[str, HeadSpec],
    codes: Mapping[str, TargetCodes],
    near: pl.DataFrame | None,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """(Offending rows, at most `CAP` a rule in the order of sources, files and lines; totals by rule).

    Rules, named as in `expectations.spec.DataRules`: `text_present`, `text_not_blank`, `labels_known`
    (value: the unknown label), `multiclass_exactly_one` (value: how many labels), `single_split`,
    `one_answer` (value: the number of labels the row has), `sources_consistent` and `sources_agree` (the
    same rows by where the conflict is: in one source, between two), those of `sources.labels.doubts.DOUBTS`
    (value: the row's labels), `near_duplicates` (value: similarity and place of the other text).

    Args:
        rows: `sources.merge.join.Merged.rows`.
        near: what `sources.merge.near_duplicates` found, or None if they were not looked for.
    """
    parts = [
        _breaking("text_present", rows.filter(pl.col("text").is_null()), pl.lit("missing")),
        _breaking("text_not_blank", rows.filter(pl.col("text") == ""), pl.lit("blank")),
        _breaking(
            "single_split",
            rows.filter("in_two_splits"),
            pl.col("given").replace_strict(SPLIT_OF, default="not given"),
        ),
    ]
    for head, spec in heads.items():
        names = columns_of(head)
        unknown, count = pl.col(names.unknown_label), pl.col(names.count)
        labels = count.cast(pl.String) + " labels"
        parts.append(_breaking("labels_known", rows.filter(unknown.is_not_null()), unknown, head))
        if spec.kind == "multiclass":
            bad = rows.filter(count.is_not_null() & (count != 1))
            parts.append(_breaking("multiclass_exactly_one", bad, labels, head))
        for flag, rule in CONFLICT_RULES.items():
            parts.append(_breaking(rule, rows.filter(f"{flag}:{head}"), labels, head))
        for rule in doubtful(rows, head):
            parts.append(_doubtful(rule, rows, head, codes[head]))
    checked = list(ALWAYS)
    if near is not None:
        parts.append(_near(rows, near))
        checked.append("near_duplicates")
    found = pl.concat(parts)
    totals = dict(found.group_by("rule").len().iter_rows())
    capped = found.filter(pl.int_range(pl.len()).over("rule") < CAP)
    return capped, {rule: totals.get(rule, 0) for rule in sorted({*checked, *totals})}


def _breaking(rule: str, rows: pl.DataFrame, value: pl.Expr, head: str | None = None) -> pl.DataFrame:
    return rows.select(
        pl.lit(rule).alias("rule"),
        pl.col("source", "file").cast(pl.String),
        "line",
        pl.lit(head, dtype=pl.String).alias("head"),
        value.cast(pl.String).str.slice(0, 80).alias("value"),
    )


def _doubtful(rule: str, rows: pl.DataFrame, head: str, codes: TargetCodes) -> pl.DataFrame:
    names = columns_of(head)
    found = rows.filter(pl.col(names.doubt) & BIT[rule] != 0)
    written = {
        code: ", ".join(codes.targets[code].positives) for code in found[names.target].unique().drop_nulls()
    }
    labels = pl.col(names.target).replace_strict(written, default=None, return_dtype=pl.String)
    return _breaking(rule, found, pl.coalesce(labels, pl.col(names.unknown_label).cast(pl.String)), head)


def _near(rows: pl.DataFrame, near: pl.DataFrame) -> pl.DataFrame:
    """One finding a text: its first row, and where the other text first stands."""
    involved = pl.concat([near["text_id"], near["other_id"]]).unique()
    places = (
        rows.filter(pl.col("text_id").is_in(involved.implode()))
        .unique(subset="text_id", keep="first", maintain_order=True)
        .select("text_id", pl.col("source", "file").cast(pl.String), "line")
    )
    joined = near.join(places, on="text_id").join(
        places, left_on="other_id", right_on="text_id", suffix="_other"
    )
    value = pl.format(
        "{} like {} line {} ({})",
        pl.col("similarity").round(2),
        pl.col("source_other"),
        pl.col("line_other"),
        pl.col("other_split"),
    )
    return _breaking("near_duplicates", joined.sort("source", "file", "line"), value)
