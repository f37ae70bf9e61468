"""What the profile says about doubtful labels: head → rule → one sentence with counts, places and advice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import polars as pl

from model.spec import HeadSpec
from sources.labels.advice import MAX_NAMED, Seen, sentence
from sources.labels.doubts import BIT, LabelDoubts
from sources.labels.find_targets import columns_of
from sources.labels.settle import doubtful
from sources.labels.target_codes import TargetCodes
from sources.spec import SourceSpec

ONE_ROW_A_LABEL = 0.02
"""Share of a head's labelled texts in conflict from which rows that each hold one label are taken for a file
with one row a label; fewer are labellers who disagree."""


def doubt_remarks(
    rows: pl.DataFrame,
    heads: Mapping[str, HeadSpec],
    codes: Mapping[str, TargetCodes],
    doubts: Mapping[str, LabelDoubts],
    sources: Mapping[str, SourceSpec],
) -> dict[str, dict[str, str]]:
    """Head → rule → sentence, for the rules of `sources.labels.doubts.DOUBTS` and `one_answer`.

    Args:
        rows: `sources.merge.join.Merged.rows`.
    """
    said: dict[str, dict[str, str]] = {}
    for head, spec in heads.items():
        of_head = {
            rule: sentence(rule, _seen(rows, head, rule, count, codes[head], doubts[head], sources))
            for rule, count in doubtful(rows, head).items()
        }
        if several := _one_row_a_label(rows, head, spec):
            of_head["one_answer"] = several
        if of_head:
            said[head] = of_head
    return said


def _seen(
    rows: pl.DataFrame,
    head: str,
    rule: str,
    count: int,
    codes: TargetCodes,
    doubts: LabelDoubts,
    sources: Mapping[str, SourceSpec],
) -> Seen:
    names = columns_of(head)
    concerned = rows.filter(pl.col(names.doubt) & BIT[rule] != 0)
    why = doubts.why.get(rule, {})
    labels: Counter[str] = Counter()
    # Not of the targets: those of one number are joined by then, and unknown labels have none.
    for code, times in concerned.get_column(names.target).drop_nulls().value_counts().iter_rows():
        labels.update({label: times for label in codes.targets[code].positives if label in why})
    for label in concerned.get_column(names.unknown_label).drop_nulls().head(MAX_NAMED):
        labels[label] += 1
    labels.update(dict.fromkeys(why, 0))
    first = concerned.head(MAX_NAMED)
    source = first["source"][0]
    ordered = [label for label, _ in sorted(labels.items(), key=lambda one: (-one[1], one[0]))]
    return Seen(
        head=head,
        rows=count,
        labels=ordered,
        why={**dict.fromkeys(ordered, ""), **why},
        places=list(first.select("file", "line").iter_rows()),
        source=source,
        target=sources[source].targets[head],
    )


def _one_row_a_label(rows: pl.DataFrame, head: str, spec: HeadSpec) -> str:
    """What to say where a file has one row a label; empty where conflicts are conflicts."""
    names = columns_of(head)
    labelled = rows.filter(pl.col(names.target).is_not_null())
    conflicts = labelled.filter(f"conflict:{head}")
    texts, in_conflict = labelled["text_id"].n_unique(), conflicts["text_id"].n_unique()
    one_each = conflicts.height and labelled.select((pl.col(names.count) <= 1).all()).item()
    if not one_each or in_conflict < ONE_ROW_A_LABEL * texts:
        return ""
    union = "set `split: {conflicts: union}`, and all labels of a text apply"
    if spec.kind == "multiclass":
        union = f"if a text may have several labels, make the head `multilabel` and {union}"
    file, line = conflicts.select("file", "line").row(0)
    return (
        f"{in_conflict:,} texts of `{head}` stand in several rows that each give one other label "
        f"({conflicts.height:,} rows, first {file}:{line}), as in a file with one row a label: {union}"
    )
