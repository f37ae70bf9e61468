"""Settle the labels of each head when all sources are read: spellings of one label are joined, and rows whose
labels are doubtful are marked. Costs a count of integers a head; the labels themselves are looked at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import polars as pl

from model.spec import HeadSpec
from sources.labels.doubts import DOUBTS, LabelDoubts, doubts_of
from sources.labels.find_targets import columns_of
from sources.labels.target_codes import TargetCodes


def settle_labels(
    frame: pl.DataFrame,
    heads: Mapping[str, HeadSpec],
    codes: Mapping[str, TargetCodes],
    separators: Mapping[str, Collection[str]],
) -> tuple[pl.DataFrame, dict[str, LabelDoubts]]:
    """(The rows with settled targets and all their doubts; head → doubts about its labels).

    Args:
        frame: `sources.merge.join.source_rows` of all sources.
        codes: head → codes of its targets; new ones are added.
        separators: head → what stands between labels in sources that declare it.
    """
    found: dict[str, LabelDoubts] = {}
    for head, spec in heads.items():
        names = columns_of(head)
        counts = dict(frame.get_column(names.target).drop_nulls().value_counts().iter_rows())
        targets = codes[head].targets
        rows: Counter[str] = Counter()
        for code, count in counts.items():
            rows.update(dict.fromkeys(targets[code].positives, count))
        doubts = doubts_of(
            rows, spec.labels, several=spec.kind == "multilabel", declared=separators.get(head, ())
        )
        found[head] = doubts
        if not doubts.why:
            continue
        bits = {code: bit for code in counts if (bit := doubts.bits(targets[code].positives))}
        marked = pl.col(names.target).replace_strict(bits, default=0, return_dtype=pl.Int32)
        settled = {}
        if doubts.same:
            settled = {code: codes[head].code(targets[code].renamed(doubts.same)) for code in counts}
        frame = frame.with_columns(
            (pl.col(names.doubt).fill_null(0) | marked.fill_null(0)).alias(names.doubt),
            pl.col(names.target).replace(settled) if settled else pl.col(names.target),
        )
    return frame, found


def doubtful(frame: pl.DataFrame, head: str) -> dict[str, int]:
    """Rule → rows of the head that are in doubt by it; rules without rows are left out."""
    counts = frame.get_column(columns_of(head).doubt).drop_nulls().value_counts().iter_rows()
    by_bits = {bits: count for bits, count in counts if bits}
    rules = {rule: sum(n for bits, n in by_bits.items() if bits >> at & 1) for at, rule in enumerate(DOUBTS)}
    return {rule: count for rule, count in rules.items() if count}
