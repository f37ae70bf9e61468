"""From logits to answers: probabilities, the labels chosen, and both by name. Pure functions of arrays.

Axes: B texts, L labels of one head. Does not know where logits come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import activations
from .card import HeadCard

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one head says about one text."""

    labels: tuple[str, ...]
    """Multiclass: the likeliest label. Multilabel: those that apply, in the head's order; may be empty."""
    probabilities: dict[str, float]
    """Every label of the head → its probability."""


def probabilities(head: HeadCard, logits: NDArray[Any]) -> Floats:
    """logits (B, L) → probabilities (B, L), float32: softmax (multiclass) or sigmoid (multilabel) of
    logits / temperature (Guo et al. 2017, eq. 9), computed in float64."""
    chances: Floats = activations.probabilities(head.kind, logits, head.temperature).astype(np.float32)
    return chances


def decisions(head: HeadCard, chances: NDArray[Any]) -> NDArray[Any]:
    """probabilities (B, L) → multiclass: index of the likeliest label, int32 (B,), the first of equals;
    multilabel: 1 from the label's threshold on, else 0, int8 (B, L)."""
    return activations.decide(
        head.kind, chances, None if head.thresholds is None else np.asarray(head.thresholds)
    )


def answers(head: HeadCard, chances: NDArray[Any]) -> list[Answer]:
    """probabilities (B, L) → one answer a text."""
    chosen = decisions(head, chances)
    found = []
    for row, choice in zip(chances.tolist(), chosen, strict=True):
        if head.kind == "multiclass":
            labels: tuple[str, ...] = (head.labels[int(choice)],)
        else:
            labels = tuple(label for label, yes in zip(head.labels, choice, strict=True) if yes)
        found.append(Answer(labels=labels, probabilities=dict(zip(head.labels, row, strict=True))))
    return found
