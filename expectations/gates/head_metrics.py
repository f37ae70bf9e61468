"""The metrics of one head of a scores file, and the paired comparison of two models.

Figures of one model come from `model.measure.metrics`, which also chooses the epoch. `compare` needs them
with bounds: from counts of cells (`expectations.stats.bootstrap`) or rows (`expectations.stats.paired`);
`tests/model/test_every_metric.py` holds both equal to `model.measure.metrics`. Does not judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from expectations.gates.scores import HeadScores
from expectations.stats.bootstrap import Average, Comparison, Draws, compare_cells
from expectations.stats.paired import paired_difference, wilson_interval
from model.measure import metrics
from model.spec import MetricName


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMetrics:
    """The figures of one label."""

    label: str
    precision: float | None
    """None where the label has no test rows, or is never answered."""
    recall: float | None
    """None where the label has no test rows, as is its F1."""
    f1: float | None
    support: int
    """Rows to which it truly applies."""
    answered: int
    """Rows for which the model chose it."""


def compare(
    shared: HeadScores,
    baseline: HeadScores,
    metric: MetricName,
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> Comparison:
    """Both models' metric and its difference on the same labelled rows, with bounds.

    The share of rows that are right (`subset_accuracy`, and `accuracy` of a multiclass head) is compared
    by Tango's paired score interval; F1 and the share of right cells (`accuracy` of a multilabel head,
    whose cells are not independent within a row) by the paired BCa bootstrap. Where rows come in groups, both
    take the groups as what is drawn.
    """
    groups = shared.labelled_groups()
    if metrics.counts_rows(metric, shared.kind):
        one, other = (metrics.right_rows(m.kind, m.decisions, m.targets) for m in (shared, baseline))
        return Comparison(
            shared=wilson_interval(one, confidence, groups),
            baseline=wilson_interval(other, confidence, groups),
            difference=paired_difference(one, other, confidence, groups),
        )
    targets, answers = shared.indicators()
    return compare_cells(
        targets,
        answers,
        baseline.indicators()[1],
        average=_average(metric),
        confidence=confidence,
        draws=Draws(resamples=resamples, seed=seed, groups=groups, absent_hide=not shared.part),
    )


def _average(metric: MetricName) -> Average:
    """How the bootstrap averages the cells of a metric that does not count rows."""
    match metric:
        case "macro_f1":
            return "macro"
        case "micro_f1":
            return "micro"
        case "accuracy":
            return "cells"
        case "subset_accuracy":
            raise ValueError("subset_accuracy counts rows; compare rows, not cells")
        case _:
            assert_never(metric)


def metric_value(scores: HeadScores, metric: MetricName) -> float:
    """The metric on the labelled rows; NaN where there are none."""
    if not scores.labelled.any():
        return float("nan")
    return metrics.metric(metric, scores.kind, scores.decisions, scores.targets, len(scores.labels))


def per_label(scores: HeadScores) -> list[LabelMetrics]:
    """Precision, recall and F1 of each label, in the order of the labels."""
    found = metrics.per_label(scores.kind, scores.decisions, scores.targets, len(scores.labels))
    return [
        LabelMetrics(
            label=label,
            precision=_known(found.precision[at]),
            recall=_known(found.recall[at]),
            f1=_known(found.f1[at]),
            support=int(found.support[at]),
            answered=int(found.predicted[at]),
        )
        for at, label in enumerate(scores.labels)
    ]


def possible_gain(scores: HeadScores) -> float:
    """By how much a metric could be higher, at most, had the model been fitted on the rows that it lacked too
    (`scores.unseen`).

    Error falls with a power of the rows that is below 1 wherever learning curves were measured (Hestness et
    al. 2017, "Deep learning scaling is predictable, empirically"): a label that lacks the share f of its rows
    would lose at most f of its error. Its error is 1 - the smaller of recall and F1; the larger mean counts,
    over labels or over the rows of each, since a metric may count the one or the other.
    """
    if not scores.unseen:
        return 0.0
    found = [(one, share) for one, share in zip(per_label(scores), scores.unseen, strict=True) if one.support]
    if not found:
        return max(scores.unseen)
    gains = [share * (1 - min(one.f1 or 0.0, one.recall or 0.0)) for one, share in found]
    return max(float(np.mean(gains)), float(np.average(gains, weights=[one.support for one, _ in found])))


def _known(figure: float) -> float | None:
    return None if np.isnan(figure) else float(figure)


def confusion(scores: HeadScores) -> NDArray[np.int64]:
    """`(L, L)` counts of a multiclass head: rows are the truth, columns the answer.

    Raises:
        ValueError: the head is multilabel, where one answer has no one truth.
    """
    if scores.kind != "multiclass":
        raise ValueError("a multilabel head has no confusion matrix")
    return metrics.confusion_matrix(scores.decisions, scores.targets, len(scores.labels))


def expected_calibration_error(scores: HeadScores) -> float | None:
    """The calibration error on the labelled rows; none without labelled rows or probabilities."""
    if scores.probabilities is None or not scores.labelled.any():
        return None
    return metrics.expected_calibration_error(scores.kind, scores.probabilities, scores.targets)
