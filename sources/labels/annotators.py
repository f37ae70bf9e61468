"""Several people labelled one text: how far they agree, and one row a text where the source asks for that.

Does not know files; the people come as the column `ANNOTATOR` of a source's table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from model.spec import HeadSpec
from sources.formats.table import ANNOTATOR, GIVEN
from sources.labels.find_targets import columns_of
from sources.labels.target_codes import TargetCodes
from sources.merge.conflicts import resolve_conflicts
from sources.merge.identity import identity, text_ids
from sources.profile.agreement import krippendorff_alpha
from sources.spec import SourceSpec, SplitSpec

_ID, _ROW, _SEVERAL = "__annotated_id", "__annotated_row", "__annotated_by_several"
VOTE = SplitSpec(conflicts="majority")


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """A source's rows after its annotators were settled."""

    frame: pl.DataFrame
    agreement: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Head → `texts` that two or more people answered, `people` who did, `answers` they gave, `differing`
    texts on which they do not say the same, `tied` of those that are unlabelled for it, and `alpha` (None:
    not defined)."""

    @property
    def said(self) -> list[str]:
        """A sentence a head for what a vote could not decide."""
        return [
            f"texts are unlabelled for `{head}` where its annotators are evenly split ({figures['tied']:,})"
            for head, figures in self.agreement.items()
            if figures["tied"]
        ]


def settle_annotators(
    frame: pl.DataFrame, spec: SourceSpec, heads: Mapping[str, HeadSpec], codes: Mapping[str, TargetCodes]
) -> Annotated:
    """Count how far annotators agree and, unless `annotators` is `each`, make one row of the rows of each
    text that several of them labelled: the first, with the answers that the policy chooses.

    Args:
        frame: a source's table after `sources.labels.find_targets`.
    """
    if ANNOTATOR not in frame or frame[ANNOTATOR].drop_nulls().n_unique() < 2:
        return Annotated(frame=frame)
    ids = text_ids(frame.select(identity(pl.col(spec.text)).replace("", None)).to_series())
    # A text that stands in two splits is a finding of its own, which must not vanish here.
    of_split = pl.concat_str(ids, pl.col(GIVEN).fill_null(""))
    numbered = frame.with_columns(of_split.alias(_ID)).with_row_index(_ROW)
    people = pl.col(ANNOTATOR).drop_nulls().n_unique().over(_ID)
    several = pl.col(_ID).is_not_null() & (people > 1)
    numbered = numbered.with_columns(several.alias(_SEVERAL))
    shared = numbered.filter(_SEVERAL)
    agreement = {}
    settled = shared.unique(subset=_ID, keep="first", maintain_order=True)
    for head in spec.heads:
        answers = _answers(shared, head)
        figures = _agreement(answers, heads[head], codes[head])
        chosen = _chosen(answers, spec, heads[head], codes[head])
        if figures["texts"]:
            tied = chosen.filter(pl.col("target").is_null())["text_id"].n_unique()
            agreement[head] = {**figures, "tied": 0 if spec.annotators == "each" else tied}
        settled = _with_answer(settled, shared, chosen, head, codes[head])
    if spec.annotators != "each":
        numbered = pl.concat([numbered.filter(~pl.col(_SEVERAL)), settled]).sort(_ROW)
    return Annotated(frame=numbered.drop(_ID, _ROW, _SEVERAL), agreement=agreement)


def _answers(shared: pl.DataFrame, head: str) -> pl.DataFrame:
    """Every answer to one head: `text_id`, `who`, `target`, in the order of rows."""
    answered = pl.col(columns_of(head).target)
    return shared.filter(answered.is_not_null()).select(
        pl.col(_ID).alias("text_id"), pl.col(ANNOTATOR).alias("who"), answered.alias("target")
    )


def _agreement(answers: pl.DataFrame, head: HeadSpec, codes: TargetCodes) -> dict[str, Any]:
    """The figures of `Annotated.agreement`, of texts that two or more people answered. Who answers a text
    more than once counts by the last answer."""
    last = answers.unique(subset=["text_id", "who"], keep="last", maintain_order=True)
    by_text = last.group_by("text_id").agg(pl.col("target").sort()).filter(pl.col("target").list.len() > 1)
    cases = by_text.group_by("target").len()
    units = [([codes.targets[code] for code in targets], times) for targets, times in cases.iter_rows()]
    compared = last.filter(pl.col("text_id").is_in(by_text["text_id"].implode()))
    return {
        "texts": by_text.height,
        "people": compared["who"].n_unique(),
        "answers": compared.height,
        "differing": by_text.filter(pl.col("target").list.n_unique() > 1).height,
        "alpha": krippendorff_alpha(units, head.kind),
    }


def _chosen(answers: pl.DataFrame, spec: SourceSpec, head: HeadSpec, codes: TargetCodes) -> pl.DataFrame:
    """`text_id`, `target`: the answer that the source's policy chooses; null where votes are even."""
    if spec.annotators != "majority":
        return answers.unique(subset="text_id", keep="first", maintain_order=True).select("text_id", "target")
    given = answers.select("text_id", pl.lit("").alias("source"), "target")
    resolved = resolve_conflicts(given, head.kind, codes, VOTE, {"": 1.0})
    return resolved.select("text_id", "target")


def _with_answer(
    settled: pl.DataFrame, shared: pl.DataFrame, chosen: pl.DataFrame, head: str, codes: TargetCodes
) -> pl.DataFrame:
    """`settled` with the chosen answer of one head. A label that the head does not have, and a cell without a
    target, stay findings: the first of the text's rows speaks for them."""
    names = columns_of(head)
    counts = {code: len(target.positives) for code, target in enumerate(codes.targets)}
    labels = pl.col("target").replace_strict(counts, default=None, return_dtype=pl.Int32)
    answer = chosen.select(
        pl.col("text_id").alias(_ID), pl.col("target").alias("chosen"), labels.alias("labels")
    )
    odd = pl.col(names.count).filter(pl.col(names.target).is_null() & pl.col(names.count).is_not_null())
    unread = shared.group_by(_ID).agg(
        pl.col(names.unknown_label).drop_nulls().first().alias("unknown"), odd.first().alias("odd")
    )
    joined = settled.join(answer, on=_ID, how="left", maintain_order="left").join(
        unread, on=_ID, how="left", maintain_order="left"
    )
    return joined.with_columns(
        pl.col("chosen").cast(pl.Int32).alias(names.target),
        pl.coalesce("labels", "odd").cast(pl.Int32).alias(names.count),
        pl.col("unknown").alias(names.unknown_label),
    ).drop("chosen", "labels", "unknown", "odd")
