"""Figures of one head from its answers: the primary metrics, one label at a time, confusions, calibration.

Pure functions of `HeadScores`. Unknown cells count nowhere; a share of nothing is 0, as everywhere here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expectations.gates.scores import HeadScores
from expectations.stats.bootstrap import Average, Comparison, compare_cells
from expectations.stats.paired import paired_difference, wilson_interval
from model.spec import MetricName

CALIBRATION_BINS = 15
"""Bins of equal width of the calibration error, as in Guo et al. 2017."""


AVERAGES: Mapping[MetricName, Average] = {"macro_f1": "macro", "micro_f1": "micro", "accuracy": "cells"}
"""Metric → how cells are averaged, where rows are not simply right or wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFigures:
    """How one label fares."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """Rows to which it truly applies."""
    answered: int
    """Rows for which the model says so."""


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
    whose cells are not independent within a row) by the paired BCa bootstrap.
    """
    if _by_rows(shared, metric):
        one, other = shared.right(), baseline.right()
        return Comparison(
            shared=wilson_interval(one, confidence),
            baseline=wilson_interval(other, confidence),
            difference=paired_difference(one, other, confidence),
        )
    targets, answers = shared.indicators()
    return compare_cells(
        targets,
        answers,
        baseline.indicators()[1],
        average=AVERAGES[metric],
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def metric_value(scores: HeadScores, metric: MetricName) -> float:
    """The metric on the labelled rows; `nan` where there are none."""
    if not scores.labelled.any():
        return float("nan")
    if _by_rows(scores, metric):
        return float(scores.right().mean())
    targets, answers = scores.indicators()
    if metric == "accuracy":
        return float((targets == answers)[targets >= 0].mean())
    hits = ((targets == 1) & (answers == 1)).sum(axis=0)
    sides = (targets == 1).sum(axis=0) + ((answers == 1) & (targets >= 0)).sum(axis=0)
    if metric == "micro_f1":
        return float(2 * hits.sum() / sides.sum()) if sides.sum() else 0.0
    return float(np.divide(2 * hits, sides, out=np.zeros(hits.shape), where=sides > 0).mean())


def per_label(scores: HeadScores) -> list[LabelFigures]:
    """Precision, recall and F1 of each label, in the order of the labels."""
    targets, answers = scores.indicators()
    true, said = targets == 1, (answers == 1) & (targets >= 0)
    hits, support, answered = (true & said).sum(axis=0), true.sum(axis=0), said.sum(axis=0)
    return [
        LabelFigures(
            label=label,
            precision=_share(hits[at], answered[at]),
            recall=_share(hits[at], support[at]),
            f1=_share(2 * hits[at], support[at] + answered[at]),
            support=int(support[at]),
            answered=int(answered[at]),
        )
        for at, label in enumerate(scores.labels)
    ]


def confusion(scores: HeadScores) -> NDArray[np.int64]:
    """`(L, L)` counts of a multiclass head: rows are the truth, columns the answer.

    Raises:
        ValueError: the head is multilabel, where one answer has no one truth.
    """
    if scores.kind != "multiclass":
        raise ValueError("a multilabel head has no confusion matrix")
    at = scores.labelled & (scores.decisions >= 0)
    size = len(scores.labels)
    flat = scores.targets[at].astype(np.int64) * size + scores.decisions[at]
    return np.bincount(flat, minlength=size * size).reshape(size, size)


def expected_calibration_error(scores: HeadScores) -> float | None:
    """Mean distance between stated probability and observed share, weighted by bin (Guo et al. 2017).

    multiclass: of the answer's probability against whether it is right; multilabel: of every known
    cell's probability against whether the label applies. None without labelled rows or probabilities.
    """
    at = scores.labelled
    if scores.probabilities is None or not at.any():
        return None
    probabilities, targets = scores.probabilities[at].astype(np.float64), scores.targets[at]
    if scores.kind == "multiclass":
        stated, came_true = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    else:
        known = targets >= 0
        stated, came_true = probabilities[known], targets[known] == 1
    if not np.isfinite(stated).all():
        return float("nan")
    bins = np.clip((stated * CALIBRATION_BINS).astype(np.int64), 0, CALIBRATION_BINS - 1)
    said = np.bincount(bins, weights=stated, minlength=CALIBRATION_BINS)
    true = np.bincount(bins, weights=came_true, minlength=CALIBRATION_BINS)
    return float(np.abs(said - true).sum() / stated.size)


def _by_rows(scores: HeadScores, metric: MetricName) -> bool:
    """Whether the metric is a share of rows, each right or wrong as a whole."""
    return metric == "subset_accuracy" or (metric == "accuracy" and scores.kind == "multiclass")


def _share(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else 0.0
