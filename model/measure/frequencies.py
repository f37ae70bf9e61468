"""Frequencies of labels in the training rows, and what follows: weights of rare labels, a reference loss.

Pure functions of numpy arrays. Axes: N rows, L_h labels of head h.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from ..rows import Targets
from ..spec import UNLABELLED, HeadKind

MOST_LABEL_WEIGHT = 100.0
"""Largest weight of a rare label: one with a handful of rows must not outweigh all others."""


def label_shares(kind: HeadKind, targets: Targets, labels: int) -> NDArray[np.float64]:
    """(L_h,) share of the labelled rows that have each label; 0 where nothing is labelled."""
    match kind:
        case "multiclass":
            counts = np.bincount(targets[targets != UNLABELLED], minlength=labels).astype(np.float64)
        case "multilabel":
            counts = (targets == 1).sum(0).astype(np.float64)
        case _:
            assert_never(kind)
    known = (targets != UNLABELLED).sum(0)
    shares: NDArray[np.float64] = counts / np.maximum(known, 1)
    return shares


def label_weights(
    kind: HeadKind, targets: Targets, labels: int, exponent: float
) -> NDArray[np.float32] | None:
    """(L_h,) weights of rare labels, see `TrainSpec.rare_label_exponent`; none where `exponent` is 0.

    A label without any row gets 1.

    Args:
        targets: (N,) or (N, L_h), -1 where unlabelled.
        labels: L_h.
    """
    if exponent == 0:
        return None
    shares = label_shares(kind, targets, labels)
    weights = np.ones(labels)
    match kind:
        case "multiclass":
            seen = shares > 0
            weights[seen] = np.minimum(shares[seen] ** -exponent, MOST_LABEL_WEIGHT)
            weights[seen] /= float((weights[seen] * shares[seen]).sum())
        case "multilabel":
            seen = (shares > 0) & (shares < 1)
            odds = shares[seen] / (1 - shares[seen])
            weights[seen] = np.minimum(odds**-exponent, MOST_LABEL_WEIGHT)
        case _:
            assert_never(kind)
    return weights.astype(np.float32)


def prior_loss(kind: HeadKind, targets: Targets, labels: int) -> float:
    """Mean loss of a labelled row whose answer is the label frequencies, in nats.

    multiclass: the entropy of the labels. multilabel: the sum over labels of their binary entropies.
    At least 0.01, so that the loss of a head whose rows nearly all agree is not blown up.

    Args:
        targets: (N,) or (N, L_h), -1 where unlabelled.
        labels: L_h.
    """
    shares = label_shares(kind, targets, labels)
    with np.errstate(divide="ignore", invalid="ignore"):
        present = -np.nan_to_num(shares * np.log(shares)).sum()
        absent = -np.nan_to_num((1 - shares) * np.log(1 - shares)).sum()
    match kind:
        case "multiclass":
            entropy = present
        case "multilabel":
            entropy = present + absent
        case _:
            assert_never(kind)
    return max(float(entropy), 0.01)
