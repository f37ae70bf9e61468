"""What the profile says about doubtful labels: head → rule → one sentence with counts, places and advice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from model.errors import places
from model.spec import HeadSpec
from sources.labels.advice import MAX_NAMED, Seen, sentence
from sources.labels.doubts import BIT, LabelDoubts, joined_labels
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
        of_head = {}
        for rule in doubtful(rows, head):
            why = dict(doubts[head].why.get(rule, {}))
            if rule == "joined_labels" and spec.labels:
                why |= joined_labels(rows[columns_of(head).unknown_label].drop_nulls().unique(), spec.labels)
            found = _seen(rows, (head, rule), codes[head], why, sources)
            of_head[rule] = sentence(rule, replace(found, several=spec.kind == "multilabel"))
        if several := _one_row_a_label(rows, head, spec):
            of_head["one_answer"] = several
        if of_head:
            said[head] = of_head
    return said


def _seen(
    rows: pl.DataFrame,
    about: tuple[str, str],
    codes: TargetCodes,
    why: Mapping[str, str],
    sources: Mapping[str, SourceSpec],
) -> Seen:
    """The rows of one head that one rule is `about`.

    Args:
        why: label → what was seen of it, where the labels alone are doubtful.
    """
    head, rule = about
    names = columns_of(head)
    concerned = rows.filter(pl.col(names.doubt) & BIT[rule] != 0)
    labels: Counter[str] = Counter()
    for code, times in concerned.get_column(names.target).drop_nulls().value_counts().iter_rows():
        labels.update({label: times for label in codes.targets[code].positives if label in why})
    # Labels that the head does not list have no target, and other spellings of a number are joined by now.
    labels.update({label: 0 for label in why if label not in labels})
    first = concerned.head(MAX_NAMED)
    source = first["source"][0]
    return Seen(
        head=head,
        rows=concerned.height,
        labels=[label for label, _ in sorted(labels.items(), key=lambda one: (-one[1], one[0]))],
        why=why,
        places=list(first.select("file", "line").iter_rows()),
        source=source,
        target=sources[source].targets[head],
    )


def _one_row_a_label(rows: pl.DataFrame, head: str, spec: HeadSpec) -> str:
    """What to say where a file has one row a label; empty where conflicts are conflicts."""
    names = columns_of(head)
    needed = rows.select("text_id", "file", "line", names.target, names.count, f"conflict:{head}")
    labelled = needed.filter(pl.col(names.target).is_not_null())
    conflicts = labelled.filter(f"conflict:{head}")
    if not conflicts.height or not labelled.select((pl.col(names.count) <= 1).all()).item():
        return ""
    texts, in_conflict = labelled["text_id"].n_unique(), conflicts["text_id"].n_unique()
    if in_conflict < ONE_ROW_A_LABEL * texts:
        return ""
    union = "so that all labels of a text apply, set `split: {conflicts: union}`"
    if spec.kind == "multiclass":
        union = f"if a text may have several, make the head `multilabel`, and {union}"
    first = places(conflicts.select("file", "line").head(MAX_NAMED).iter_rows())
    return (
        f"{in_conflict:,} texts of `{head}` stand in several rows that each give one other label "
        f"({conflicts.height:,} rows, first {first}), as in a file with one row a label: {union}"
    )
