"""The labels gate: does the model find every label of which there are test rows?

A head can be as good as its baseline, and good by its metric, while neither finds a rare label at all. Each
label with test rows is held beside blind answers (`expectations.stats.recall`):

    found     its recall is certainly above the share at which it is answered anyway: nothing is said
    missed    its recall is certainly no quarter of the way from there to all rows, or, where it is answered
              nowhere, no half: the head fails
    unknown   its rows are too few to tell: the label is named, and the head passes

Labels of `gates.allow_unanswered` are named instead of failing. Knows arrays and rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from expectations.gates.scores import HeadScores
from expectations.spec import GateRules
from expectations.stats.recall import LabelCounts, surely_found, surely_missed
from expectations.verdict import Figures, Finding, Verdict
from model.errors import named
from model.measure.metrics import label_counts
from model.spec import UNLABELLED, HeadSpec

MOST_NAMED = 2
"""Labels that a sentence names; the rest are counted."""


def judge_labels(
    shared: Mapping[str, HeadScores], rules: GateRules, heads: Mapping[str, HeadSpec]
) -> Verdict:
    """One finding a head, about all its labels.

    Args:
        shared: head → the shared bundle's answers on the test split.
    """
    return Verdict(gate="labels", findings=tuple(_judged(name, shared.get(name), rules) for name in heads))


def counts_of(scores: HeadScores) -> dict[str, LabelCounts]:
    """Label → what was answered about it, in the order of the labels."""
    labels = len(scores.labels)
    cells = scores.targets != UNLABELLED
    known = cells.sum(0) if scores.kind == "multilabel" else np.full(labels, cells.sum())
    found = label_counts(scores.kind, scores.decisions, scores.targets, labels)
    return {
        label: LabelCounts(rows=int(rows), support=int(support), answered=int(answered), hits=int(hits))
        for label, rows, (hits, support, answered) in zip(scores.labels, known, found, strict=True)
    }


def _judged(name: str, scores: HeadScores | None, rules: GateRules) -> Finding:
    subject = f"{name} labels"
    if scores is None or not scores.labelled.any():
        reason = f"0 answers are there for `{name}` on labelled test rows; run `headgate retrain` again"
        return Finding(subject=subject, outcome="inconclusive", reason=reason)
    judged = {label: one for label, one in counts_of(scores).items() if one.support}
    open_ones = {label: one for label, one in judged.items() if not surely_found(one, rules.confidence)}
    missed = {label: one for label, one in open_ones.items() if surely_missed(one, rules.confidence)}
    allowed = {label: one for label, one in missed.items() if label in rules.allow_unanswered.get(name, ())}
    failing = {label: one for label, one in missed.items() if label not in allowed}
    unknown = {label: one for label, one in open_ones.items() if label not in missed}
    figures: Figures = {
        **{"metric": "labels found", "unit": "labels", "shared": len(judged) - len(open_ones)},
        **{"limit": len(judged), "missed": len(missed), "unknown": len(unknown), "allowed": len(allowed)},
        **{"n": int(scores.labelled.sum()), "confidence": rules.confidence},
    }
    setting = f"gates.allow_unanswered.{name}"
    remark = f"`{name}` does not find {_named(allowed)}, as `{setting}` allows" if allowed else ""
    if unknown:
        names = ", ".join(map(named, list(allowed)[:MOST_NAMED]))
        others = f", which has {names}" if allowed else ""
        remark = (
            f"The test rows of `{name}` do not tell whether {_named(unknown)} {_is(unknown)} found: label "
            f"more, or list them in `{setting}`{others}"
        )
    if failing:
        reason = (
            f"`{name}` does not find {_named(failing)}: give them more rows or a "
            f"`train.rare_label_exponent`, join labels, or list what may stay unanswered in `{setting}`"
        )
        return Finding(subject=subject, outcome="fail", reason=reason, figures=figures, remark=remark)
    reason = f"{len(judged) - len(open_ones)} of {len(judged)} labels with test rows are certainly found"
    return Finding(subject=subject, outcome="pass", reason=reason, figures=figures, remark=remark)


def _is(labels: Mapping[str, LabelCounts]) -> str:
    return "is" if len(labels) == 1 else "are"


def _named(labels: Mapping[str, LabelCounts]) -> str:
    """The labels with the most rows first, each with its counts."""
    order: Sequence[str] = sorted(labels, key=lambda label: -labels[label].support)
    some = ", ".join(f"{named(label)} ({_seen(labels[label])})" for label in order[:MOST_NAMED])
    return some + (f" and {len(order) - MOST_NAMED:,} more" if len(order) > MOST_NAMED else "")


def _seen(one: LabelCounts) -> str:
    if not one.answered:
        return f"never answered, {one.support:,} rows"
    return f"{one.hits:,} of {one.support:,} rows, answered for {one.share:.1%} of all"
