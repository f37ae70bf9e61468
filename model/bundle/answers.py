"""From logits to answers: probabilities, the labels chosen, and both by name. Pure functions of arrays.

Axes: B texts, L labels of one head. Does not know where logits come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from . import activations
from .card import HeadCard

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one head answers to one text."""

    labels: tuple[str, ...]
    """Multiclass: the likeliest label. Multilabel: those that apply, in the head's order; may be empty."""
    probabilities: dict[str, float]
    """Every label of the head → its probability."""


def probabilities(head: HeadCard, logits: NDArray[Any]) -> Floats:
    """logits (B, L) → calibrated probabilities (B, L), float32."""
    result: Floats = activations.probabilities(head.kind, logits, head.temperature).astype(np.float32)
    return result


def decisions(head: HeadCard, probabilities: NDArray[Any]) -> NDArray[Any]:
    """probabilities (B, L) → decisions at the head's thresholds (`activations.decide`)."""
    thresholds = None if head.thresholds is None else np.asarray(head.thresholds)
    return activations.decide(head.kind, probabilities, thresholds)


def answers(head: HeadCard, probabilities: NDArray[Any]) -> list[Answer]:
    """probabilities (B, L) → one answer a text."""
    return [
        Answer(labels=_chosen(head, decision), probabilities=dict(zip(head.labels, row, strict=True)))
        for row, decision in zip(probabilities.tolist(), decisions(head, probabilities), strict=True)
    ]


def _chosen(head: HeadCard, decision: Any) -> tuple[str, ...]:
    """Names of the labels of one decision: an index (multiclass), or (L,) of 0 and 1 (multilabel)."""
    match head.kind:
        case "multiclass":
            return (head.labels[int(decision)],)
        case "multilabel":
            return tuple(label for label, applies in zip(head.labels, decision, strict=True) if applies)
        case _:
            assert_never(head.kind)
