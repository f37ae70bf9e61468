"""Figures of merit, as pure functions of numpy arrays, masked where rows are unlabelled.

Axes: N rows, L labels. `decisions` and `targets` are label indices (N,) for multiclass and 0/1 (N, L) for
multilabel; in targets -1 means unlabelled, for a row or for one label of a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..spec import UNLABELLED, HeadKind, MetricName

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

ECE_BINS = 15
"""Equal-width bins of confidence, as in Guo et al. 2017."""


def confusion_counts(kind: HeadKind, decisions: Ints, targets: Ints, labels: int) -> NDArray[np.int64]:
    """(L, 3): true positives, false positives and false negatives of each label, over known cells."""
    if kind == "multiclass":
        known = targets != UNLABELLED
        matrix = confusion_matrix(decisions[known], targets[known], labels)
        true = np.diag(matrix)
        return np.stack([true, matrix.sum(0) - true, matrix.sum(1) - true], axis=1)
    known = targets != UNLABELLED
    said, is_so = (decisions == 1) & known, targets == 1
    return np.stack([(said & is_so).sum(0), (said & ~is_so).sum(0), (~said & is_so).sum(0)], axis=1)


def confusion_matrix(decisions: Ints, targets: Ints, labels: int) -> NDArray[np.int64]:
    """(L, L) counts of a multiclass head: rows are true labels, columns decisions; unlabelled left out."""
    known = targets != UNLABELLED
    flat = targets[known].astype(np.int64) * labels + decisions[known]
    return np.bincount(flat, minlength=labels * labels).reshape(labels, labels)


def per_label(kind: HeadKind, decisions: Ints, targets: Ints, labels: int) -> dict[str, Floats]:
    """`precision`, `recall`, `f1` and `support` of each label, each (L,); 0 where there is nothing to
    divide by, as in scikit-learn with `zero_division=0`."""
    true, false, missed = confusion_counts(kind, decisions, targets, labels).T.astype(np.float64)
    return {
        "precision": _ratio(true, true + false),
        "recall": _ratio(true, true + missed),
        "f1": _ratio(2 * true, 2 * true + false + missed),
        "support": true + missed,
    }


def metric(name: MetricName, kind: HeadKind, decisions: Ints, targets: Ints, labels: int) -> float:
    """One figure of a head, between 0 and 1.

    `accuracy`: share of right rows (multiclass) or right cells (multilabel). `macro_f1`: plain mean of
    the labels' F1, labels without any row included as 0. `micro_f1`: F1 of all cells together.
    `subset_accuracy`: share of rows whose every known label is right.

    Raises:
        BadInput: no row is labelled: there is no figure, and 0 or 1 would be a lie.
    """
    known = targets != UNLABELLED
    if not known.any():
        raise BadInput(f"{name}: no labelled row to measure on")
    if name == "macro_f1":
        return float(per_label(kind, decisions, targets, labels)["f1"].mean())
    if name == "micro_f1":
        true, false, missed = confusion_counts(kind, decisions, targets, labels).sum(0)
        return float(_ratio(np.float64(2 * true), np.float64(2 * true + false + missed)))
    right = decisions == targets
    if name == "accuracy" or kind == "multiclass":
        return float(right[known].mean())
    rows = known.any(1)
    return float((right | ~known)[rows].all(1).mean())


def expected_calibration_error(
    kind: HeadKind, probabilities: Floats, targets: Ints, *, bins: int = ECE_BINS
) -> float:
    """Mean gap between confidence and truth (Guo et al. 2017, eq. 3), between 0 and 1.

    multiclass: confidence of the likeliest label against its being right. multilabel: probability of
    each known cell against its being 1.

    Raises:
        BadInput: no row is labelled.
    """
    known = targets != UNLABELLED
    if not known.any():
        raise BadInput("expected calibration error: no labelled row to measure on")
    if kind == "multiclass":
        shown = probabilities[known]
        confidence, truth = shown.max(1), shown.argmax(1) == targets[known]
    else:
        confidence, truth = probabilities[known], targets[known] == 1
    place = np.clip((confidence * bins).astype(np.int64), 0, bins - 1)
    gaps = np.bincount(place, confidence.astype(np.float64) - truth, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def majority_metric(
    name: MetricName, kind: HeadKind, train_targets: Ints, targets: Ints, labels: int
) -> float:
    """What a model scores that has seen only the training labels' frequencies.

    multiclass: always the most frequent label. multilabel: the better of each label's majority answer and
    of all labels always (which is the trivial answer that F1 rewards).
    """
    if kind == "multiclass":
        counts = np.bincount(train_targets[train_targets != UNLABELLED], minlength=labels)
        constant = np.full(len(targets), counts.argmax(), dtype=np.int32)
        return metric(name, kind, constant, targets, labels)
    often = (train_targets == 1).sum(0) * 2 > (train_targets != UNLABELLED).sum(0)
    answers = (np.broadcast_to(often, targets.shape).astype(np.int8), np.ones_like(targets))
    return max(metric(name, kind, answer, targets, labels) for answer in answers)


def _ratio(above: Any, below: Any) -> Any:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
