"""After training, on validation rows only: a temperature a head and a threshold a label.

Pure functions of arrays. Never sees test rows: the gate would then judge on rows that the model was tuned on.

Axes: N rows, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from ..bundle import activations
from ..bundle.activations import decide
from ..errors import BadInput
from ..spec import UNLABELLED, HeadKind, MetricName
from .metrics import Floats, Ints, expected_calibration_error, metric

SHRINK_POSITIVES = 20.0
"""The threshold of a label with this many positive validation rows lies halfway between its best threshold
and the head's common one. With a handful of rows, the best threshold for F1 varies by tenths."""

TEMPERATURES = (0.05, 20.0)
"""Bounds of a temperature. A head at a bound has learned hardly anything, or separates all rows."""

_COMMON_GRID = np.linspace(0.02, 0.98, 97)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperature and thresholds of one head."""

    temperature: float
    """Logits are divided by it."""
    thresholds: tuple[float, ...] | None
    """multilabel: one a label, on calibrated probabilities; multiclass: none."""
    ece_before: float
    """Expected calibration error on validation rows at temperature 1."""
    ece_after: float
    """Expected calibration error on validation rows at `temperature`."""


def calibrate(kind: HeadKind, metric_name: MetricName, logits: Floats, targets: Ints) -> Calibration:
    """Calibrate one head on validation rows.

    Args:
        logits: (N, L) of the validation rows.
        targets: (N,) or (N, L), -1 where unlabelled.

    Raises:
        BadInput: no validation row is labelled, or a logit is not finite.
    """
    if not (targets != UNLABELLED).any():
        raise BadInput("calibration: no validation row is labelled")
    if not np.isfinite(logits).all():
        raise BadInput("calibration: a logit is not finite")
    temperature = best_temperature(kind, logits, targets)
    before, after = (
        activations.probabilities(kind, logits),
        activations.probabilities(kind, logits, temperature),
    )
    match kind:
        case "multiclass":
            thresholds = None
        case "multilabel":
            thresholds = tuple(float(t) for t in best_thresholds(metric_name, after, targets))
        case _:
            assert_never(kind)
    return Calibration(
        temperature=temperature,
        thresholds=thresholds,
        ece_before=expected_calibration_error(kind, before, targets),
        ece_after=expected_calibration_error(kind, after, targets),
    )


def best_temperature(kind: HeadKind, logits: Floats, targets: Ints) -> float:
    """The temperature with the least negative log-likelihood (Guo et al. 2017, section 4.2).

    Newton's method on the inverse temperature, in which the loss is convex; halved steps keep it inside
    the bounds.
    """
    known = targets != UNLABELLED
    scores = logits[known].astype(np.float64)
    answers = targets[known]
    low, high = 1.0 / TEMPERATURES[1], 1.0 / TEMPERATURES[0]
    inverse = 1.0
    for _ in range(60):
        slope, curve = _derivatives(kind, scores, answers, inverse)
        if slope > 0:
            high = inverse
        else:
            low = inverse
        step = inverse - slope / curve if curve > 0 else np.inf
        # Outside the bracket Newton's step is not to be trusted: halve the bracket instead.
        following = step if low < step < high else 0.5 * (low + high)
        if abs(following - inverse) < 1e-9 * inverse:
            break
        inverse = following
    return float(1.0 / inverse)


def _derivatives(kind: HeadKind, scores: Floats, answers: Ints, inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean negative log-likelihood by the inverse temperature."""
    p = activations.probabilities(kind, scores if scores.ndim == 2 else scores[:, None], 1.0 / inverse)
    match kind:
        case "multiclass":
            mean = (p * scores).sum(1)
            chosen = scores[np.arange(len(scores)), answers]
            return float((mean - chosen).mean()), float(((p * scores**2).sum(1) - mean**2).mean())
        case "multilabel":
            p = p[:, 0]
            return float(((p - answers) * scores).mean()), float((p * (1 - p) * scores**2).mean())
        case _:
            assert_never(kind)


def best_thresholds(metric_name: MetricName, probabilities: Floats, targets: Ints) -> NDArray[np.float64]:
    """(L,) thresholds of a multilabel head.

    For `macro_f1`, the mean of the labels' figures, each label gets the threshold that is best for it, drawn
    towards the common one if it has few positive rows. The other metrics are one figure of all labels
    together: all labels get the best common threshold.

    Args:
        probabilities: (N, L), calibrated.
        targets: (N, L), -1 where unknown.
    """
    common = common_threshold(metric_name, probabilities, targets)
    match metric_name:
        case "macro_f1":
            return _thresholds_by_label(probabilities, targets, common)
        case "accuracy" | "micro_f1" | "subset_accuracy":
            return np.full(probabilities.shape[1], common)
        case _:
            assert_never(metric_name)


def _thresholds_by_label(probabilities: Floats, targets: Ints, common: float) -> NDArray[np.float64]:
    labels = probabilities.shape[1]
    result = np.empty(labels)
    for label in range(labels):
        known = targets[:, label] != UNLABELLED
        positive = targets[known, label] == 1
        count = float(positive.sum())
        best = _best_f1_threshold(probabilities[known, label], positive) if count else common
        result[label] = (count * best + SHRINK_POSITIVES * common) / (count + SHRINK_POSITIVES)
    return result


def common_threshold(metric_name: MetricName, probabilities: Floats, targets: Ints) -> float:
    """The one threshold for all labels with the best metric; among equals the one nearest 0.5."""
    labels = probabilities.shape[1]
    values = [
        metric(metric_name, "multilabel", decide("multilabel", probabilities, t), targets, labels)
        for t in _COMMON_GRID
    ]
    best = np.flatnonzero(np.asarray(values) >= max(values) - 1e-12)
    return float(_COMMON_GRID[best[np.abs(_COMMON_GRID[best] - 0.5).argmin()]])


def _best_f1_threshold(probabilities: Floats, positive: NDArray[np.bool_]) -> float:
    """Midway between the two neighbouring probabilities whose cut has the best F1."""
    order = np.argsort(-probabilities, kind="stable")
    ranked, hits = probabilities[order], np.cumsum(positive[order])
    predicted = np.arange(1, len(ranked) + 1)
    f1 = 2 * hits / (predicted + positive.sum())
    # A cut between equal probabilities cannot be made.
    possible = np.append(ranked[:-1] > ranked[1:], True)
    best = int(np.where(possible, f1, -1.0).argmax())
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float(0.5 * (ranked[best] + below))
