"""Metrics of one head: what chooses the epoch, tunes thresholds, judges the gates and fills the pages.

Pure functions of numpy arrays; unlabelled rows and cells count nowhere. Axes: N rows, L labels.

    decisions   multiclass: (N,) label index, or -1 for an older model's answer that is none of the labels.
                multilabel: (N, L) 1 or 0
    targets     multiclass: (N,) label index, or -1 where unlabelled.
                multilabel: (N, L) 1, 0, or -1 where unknown
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..spec import UNLABELLED, HeadKind, MetricName

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Counts = NDArray[np.int64]

ECE_BINS = 15
"""Equal-width bins of confidence, as in Guo et al. 2017."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelFigures:
    """Figures of each label, arrays of (L,). NaN where they are unknown: all three for a label without rows,
    precision for one that is never chosen."""

    precision: Floats
    recall: Floats
    f1: Floats
    support: Counts
    """Rows to which the label truly applies."""
    predicted: Counts
    """Labelled rows for which the model chose the label."""


def metric(name: MetricName, kind: HeadKind, decisions: Ints, targets: Ints, labels: int) -> float:
    """One figure of a head, between 0 and 1.

    `accuracy`: share of right rows (multiclass) or right cells (multilabel). `macro_f1`: plain mean of
    the labels' F1, labels without any row included as 0. `micro_f1`: F1 of all cells together.
    `subset_accuracy`: share of rows whose every known label is right.

    Args:
        labels: L.

    Raises:
        BadInput: no row is labelled, so that there is no figure.
    """
    known = targets != UNLABELLED
    if not known.any():
        raise BadInput(f"{name}: no labelled row to measure on")
    match name:
        case "accuracy":
            return float((decisions == targets)[known].mean())
        case "macro_f1":
            hits, support, predicted = label_counts(kind, decisions, targets, labels).T
            return float(_ratio(2 * hits, support + predicted).mean())
        case "micro_f1":
            hits, support, predicted = label_counts(kind, decisions, targets, labels).sum(0)
            return float(_ratio(2 * hits, support + predicted))
        case "subset_accuracy":
            return float(right_rows(kind, decisions, targets).mean())
        case _:
            assert_never(name)


def counts_rows(name: MetricName, kind: HeadKind) -> bool:
    """Whether the metric is a share of rows, each of which is right or wrong as a whole (`right_rows`)."""
    match name:
        case "subset_accuracy":
            return True
        case "accuracy":
            return kind == "multiclass"
        case "macro_f1" | "micro_f1":
            return False
        case _:
            assert_never(name)


def right_rows(kind: HeadKind, decisions: Ints, targets: Ints) -> NDArray[np.bool_]:
    """(n,) over the labelled rows: whether the answer is right; multilabel: for all known labels."""
    known = targets != UNLABELLED
    right = decisions == targets
    match kind:
        case "multiclass":
            return np.asarray(right[known])
        case "multilabel":
            return np.asarray((right | ~known)[known.any(1)].all(1))
        case _:
            assert_never(kind)


def label_counts(kind: HeadKind, decisions: Ints, targets: Ints, labels: int) -> Counts:
    """(L, 3): for each label, the known cells in which it is chosen and applies, applies, is chosen."""
    known = targets != UNLABELLED
    match kind:
        case "multiclass":
            chosen, true = decisions[known], targets[known]
            found = (true[true == chosen], true, chosen[chosen != UNLABELLED])
            return np.stack([np.bincount(part, minlength=labels) for part in found], axis=1)
        case "multilabel":
            chosen, true = (decisions == 1) & known, targets == 1
            return np.stack([(chosen & true).sum(0), true.sum(0), chosen.sum(0)], axis=1)
        case _:
            assert_never(kind)


def per_label(kind: HeadKind, decisions: Ints, targets: Ints, labels: int) -> LabelFigures:
    """Precision, recall, F1 and counts of each label."""
    hits, support, predicted = label_counts(kind, decisions, targets, labels).T
    present = support > 0
    return LabelFigures(
        precision=np.where(present & (predicted > 0), _ratio(hits, predicted), np.nan),
        recall=np.where(present, _ratio(hits, support), np.nan),
        f1=np.where(present, _ratio(2 * hits, support + predicted), np.nan),
        support=support,
        predicted=predicted,
    )


def confusion_matrix(decisions: Ints, targets: Ints, labels: int) -> Counts:
    """(L, L) counts of a multiclass head: rows are true labels, columns decisions. Unlabelled rows, and
    answers that are none of the labels, are left out."""
    at = (targets != UNLABELLED) & (decisions >= 0)
    flat = targets[at].astype(np.int64) * labels + decisions[at]
    return np.bincount(flat, minlength=labels * labels).reshape(labels, labels)


def expected_calibration_error(kind: HeadKind, probabilities: Floats, targets: Ints) -> float:
    """Mean gap between confidence and truth (Guo et al. 2017, eq. 3), between 0 and 1; NaN if the probability
    of a labelled row is not finite.

    multiclass: confidence of the likeliest label against its being right. multilabel: probability of
    each known cell against its being 1.

    Args:
        probabilities: (N, L).

    Raises:
        BadInput: no row is labelled.
    """
    known = targets != UNLABELLED
    if not known.any():
        raise BadInput("expected calibration error: no labelled row to measure on")
    stated = probabilities[known].astype(np.float64)
    match kind:
        case "multiclass":
            confidence, truth = stated.max(1), stated.argmax(1) == targets[known]
        case "multilabel":
            confidence, truth = stated, targets[known] == 1
        case _:
            assert_never(kind)
    if not np.isfinite(confidence).all():
        return float("nan")
    bins = np.clip((confidence * ECE_BINS).astype(np.int64), 0, ECE_BINS - 1)
    expected = np.bincount(bins, weights=confidence, minlength=ECE_BINS)
    observed = np.bincount(bins, weights=truth, minlength=ECE_BINS)
    return float(np.abs(expected - observed).sum() / len(confidence))


def _ratio(above: Any, below: Any) -> Any:
    """Elementwise above / below, and 0 where below is 0."""
    zeros = np.zeros(np.shape(above), np.float64)
    return np.divide(above, below, out=zeros, where=np.asarray(below) > 0)
