"""Offending input rows found while merging, by rule: a table with places and labels, never texts."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from model.spec import HeadSpec
from sources.labels.targets import columns_of

CAP = 1000
"""Most rows listed a rule; the true total is said beside."""

CONFLICT_RULES = {
    "conflict": "one_answer",
    "conflict_within": "sources_consistent",
    "conflict_between": "sources_agree",
}
"""Column of conflicting rows → rule that they break."""

SCHEMA = {
    "rule": pl.String,
    "source": pl.String,
    "file": pl.String,
    "line": pl.Int64,
    "head": pl.String,
    "value": pl.String,
}


def find(
    rows: pl.DataFrame, heads: Mapping[str, HeadSpec], near: pl.DataFrame | None
) -> tuple[pl.DataFrame, dict[str, int]]:
    """(Offending rows, at most `CAP` a rule in the order of sources, files and lines; totals by rule).

    Rules, named as in `expectations.spec.DataRules`: `text_present`, `text_not_blank`, `labels_known`
    (value: the unknown label), `multiclass_exactly_one` (value: how many labels), `single_split`,
    `one_answer` (value: the number of labels the row has), `sources_consistent` and `sources_agree` (the
    same rows by where the conflict is: in one source, between two), `near_duplicates` (value: similarity and
    place of the other text; only where they were looked for).

    Args:
        rows: `Merged.rows`, with splits' codes in `given`.
        near: what `sources.merge.near_duplicates` found, or None if it was not asked.
    """
    parts = [
        _of(rows.filter(pl.col("text").is_null()), "text_present", pl.lit("missing")),
        _of(rows.filter(pl.col("text") == ""), "text_not_blank", pl.lit("blank")),
        _of(
            rows.filter("in_two_splits"),
            "single_split",
            pl.col("given").replace_strict({0: "train", 1: "validation", 2: "test"}, default="not given"),
        ),
    ]
    for head, spec in heads.items():
        names = columns_of(head)
        count = pl.col(names.count)
        parts.append(
            _of(rows.filter(pl.col(names.unknown).is_not_null()), "labels_known", names.unknown, head)
        )
        if spec.kind == "multiclass":
            bad = rows.filter(count.is_not_null() & (count != 1))
            parts.append(_of(bad, "multiclass_exactly_one", count.cast(pl.String) + " labels", head))
        parts += [
            _of(rows.filter(f"{column}:{head}"), rule, count.cast(pl.String) + " labels", head)
            for column, rule in CONFLICT_RULES.items()
        ]
    if near is not None:
        parts.append(_near(rows, near))
    found = pl.concat(parts)
    totals = dict(found.group_by("rule").len().sort("rule").iter_rows())
    capped = found.filter(pl.int_range(pl.len()).over("rule") < CAP)
    every = ["text_present", "text_not_blank", "single_split", "labels_known", "multiclass_exactly_one"]
    every += CONFLICT_RULES.values()
    if near is not None:
        every.append("near_duplicates")
    return capped, {rule: totals.get(rule, 0) for rule in sorted(every)}


def _of(rows: pl.DataFrame, rule: str, value: pl.Expr | str, head: str | None = None) -> pl.DataFrame:
    value = pl.col(value) if isinstance(value, str) else value
    return rows.select(
        pl.lit(rule).alias("rule"),
        "source",
        "file",
        "line",
        pl.lit(head, dtype=pl.String).alias("head"),
        value.cast(pl.String).str.slice(0, 80).alias("value"),
    )


def _near(rows: pl.DataFrame, near: pl.DataFrame) -> pl.DataFrame:
    """One finding a text: its first row, and where the other text first stands."""
    involved = pl.concat([near["text_id"], near["other_id"]]).unique()
    places = (
        rows.filter(pl.col("text_id").is_in(involved.implode()))
        .unique(subset="text_id", keep="first", maintain_order=True)
        .select("text_id", "source", "file", "line")
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
    return _of(joined.sort("source", "file", "line"), "near_duplicates", value)
