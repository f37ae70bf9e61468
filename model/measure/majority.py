"""The majority answer: one constant answer to every row, the best that knows only the training labels.

What a model must beat to be of any use. Which constant is best depends on the metric: a macro average of F1
rewards answering every label always, a share of cells rewards answering rare labels never. Pure functions of
arrays. Axes: N rows, L labels.
"""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from ..spec import UNLABELLED, HeadKind, MetricName
from .metrics import Ints, metric


def majority_answer(name: MetricName, kind: HeadKind, train_targets: Ints, labels: int) -> Ints:
    """The constant answer with the best metric on the training rows.

    multiclass: () the most frequent label, the first among equals; it is best for accuracy and, since the F1
    2p / (1 + p) of the one label that is answered grows with its share p, for both averages of F1.
    multilabel: (L,) of 1 and 0.

    Args:
        train_targets: (N,) or (N, L), -1 where unlabelled.
        labels: L.
    """
    match kind:
        case "multiclass":
            counts = np.bincount(train_targets[train_targets != UNLABELLED], minlength=labels)
            return np.asarray(counts.argmax(), dtype=np.int32)
        case "multilabel":
            return np.asarray(_constant_set(name, train_targets), dtype=np.int8)
        case _:
            assert_never(kind)


def _constant_set(name: MetricName, targets: Ints) -> NDArray[Any]:
    """(L,) 1 for the labels that the best constant answer holds."""
    positive, known = (targets == 1).sum(0), (targets != UNLABELLED).sum(0)
    match name:
        case "macro_f1":
            # Answered always, a label has F1 2p / (1 + p); answered never, it has 0.
            return np.asarray(positive > 0)
        case "micro_f1":
            # The best set of k labels holds the k most frequent ones.
            order = np.argsort(-positive / np.maximum(known, 1), kind="stable")
            hits, answered = np.cumsum(positive[order]), np.cumsum(known[order])
            best = int((2 * hits / np.maximum(positive.sum() + answered, 1)).argmax())
            return np.isin(np.arange(len(order)), order[: best + 1])
        case "accuracy":
            return np.asarray(2 * positive > known)
        case "subset_accuracy":
            whole = targets[(targets != UNLABELLED).all(1)]
            if not len(whole):
                return np.asarray(2 * positive > known)
            sets, counts = np.unique(whole, axis=0, return_counts=True)
            return np.asarray(sets[counts.argmax()])
        case _:
            assert_never(name)


def repeated(answer: Ints, rows: int) -> Ints:
    """The answer for every one of N rows: (N,) or (N, L)."""
    return np.broadcast_to(answer, (rows, *answer.shape)).copy()


def majority_metric(
    name: MetricName, kind: HeadKind, train_targets: Ints, targets: Ints, labels: int
) -> float:
    """The metric on `targets` of the majority answer.

    Raises:
        BadInput: no row of `targets` is labelled.
    """
    answer = majority_answer(name, kind, train_targets, labels)
    return metric(name, kind, repeated(answer, len(targets)), targets, labels)
