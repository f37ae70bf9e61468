"""From logits to probabilities and decisions, for each kind of head. Pure functions of numpy arrays.

Axes: N rows, L labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .card import HeadKind

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]


def softmax(logits: Floats) -> Floats:
    """(N, L) → (N, L), rows sum to 1, in float64."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    powers = np.exp(shifted)
    shares: Floats = powers / powers.sum(1, keepdims=True)
    return shares


def sigmoid(logits: Floats) -> Floats:
    """Elementwise 1 / (1 + e^-x) in float64, without overflow."""
    shares: Floats = 0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64)))
    return shares


def probabilities(kind: HeadKind, logits: Floats, temperature: float = 1.0) -> Floats:
    """Logits (N, L) → probabilities (N, L), softened by the temperature."""
    scaled = logits.astype(np.float64) / temperature
    return softmax(scaled) if kind == "multiclass" else sigmoid(scaled)


def decide(kind: HeadKind, probabilities: Floats, thresholds: Floats | float | None = None) -> Ints:
    """Probabilities (N, L) → decisions: the likeliest label, or every label at or above its threshold.

    Args:
        thresholds: multilabel: (L,) or one for all, 0.5 by default; multiclass: ignored.
    """
    if kind == "multiclass":
        likeliest: Ints = probabilities.argmax(1).astype(np.int32)
        return likeliest
    return (probabilities >= (0.5 if thresholds is None else thresholds)).astype(np.int8)
