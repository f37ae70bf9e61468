"""From logits to probabilities and decisions, for each kind of head. Pure functions of numpy arrays.

Axes: N rows, L labels.
"""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from .card import HeadKind

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]


def softmax(logits: Floats) -> Floats:
    """(N, L) → (N, L), rows sum to 1, in float64."""
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    probabilities: Floats = powers / powers.sum(1, keepdims=True)
    return probabilities


def sigmoid(logits: Floats) -> Floats:
    """Elementwise 1 / (1 + e^-x) in float64, without overflow."""
    probabilities: Floats = 0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64)))
    return probabilities


def probabilities(kind: HeadKind, logits: Floats, temperature: float = 1.0) -> Floats:
    """Logits (N, L) → probabilities (N, L) of logits / temperature (Guo et al. 2017, eq. 9), in float64."""
    scaled = logits.astype(np.float64) / temperature
    match kind:
        case "multiclass":
            return softmax(scaled)
        case "multilabel":
            return sigmoid(scaled)
        case _:
            assert_never(kind)


def decide(kind: HeadKind, probabilities: Floats, thresholds: Floats | float | None = None) -> Ints:
    """Probabilities (N, L) → decisions.

    multiclass: int32 (N,), index of the likeliest label, the first among equals. multilabel: int8 (N, L), 1
    where a label's probability is at or above its threshold.

    Args:
        thresholds: multilabel: (L,) or one for all, 0.5 by default; multiclass: ignored.
    """
    match kind:
        case "multiclass":
            likeliest: Ints = probabilities.argmax(1).astype(np.int32)
            return likeliest
        case "multilabel":
            return (probabilities >= (0.5 if thresholds is None else thresholds)).astype(np.int8)
        case _:
            assert_never(kind)
