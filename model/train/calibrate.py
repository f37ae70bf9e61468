"""After training, on validation rows only: a temperature a head and a threshold a label.

Pure functions of arrays. Never sees test rows: the gate would then judge what was tuned on it.

Axes: N rows, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bundle.activations import decide, probabilities
from ..errors import BadInput
from ..measure.metrics import Floats, Ints, expected_calibration_error, metric
from ..spec import UNLABELLED, HeadKind, MetricName

SHRINK_POSITIVES = 20.0
"""A label with this many positive validation rows lies halfway between its own best threshold and the
head's common one: F1's best threshold moves by tenths when a label has a handful of rows."""

TEMPERATURES = (0.05, 20.0)
"""Bounds of a temperature; a head at a bound has hardly learnt anything or separates all rows."""

_COMMON_GRID = np.linspace(0.02, 0.98, 97)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one head's logits are read with."""

    temperature: float
    """Logits are divided by it."""
    thresholds: tuple[float, ...] | None
    """multilabel: one a label, on calibrated probabilities; multiclass: none."""
    ece_before: float
    """Expected calibration error on validation rows at temperature 1."""
    ece_after: float
    """The same at `temperature`."""


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
    before, after = probabilities(kind, logits), probabilities(kind, logits, temperature)
    thresholds = None
    if kind == "multilabel":
        thresholds = tuple(float(t) for t in best_thresholds(metric_name, after, targets))
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
    share = probabilities(kind, scores if scores.ndim == 2 else scores[:, None], 1.0 / inverse)
    if kind == "multiclass":
        mean = (share * scores).sum(1)
        chosen = scores[np.arange(len(scores)), answers]
        return float((mean - chosen).mean()), float(((share * scores**2).sum(1) - mean**2).mean())
    share = share[:, 0]
    return float(((share - answers) * scores).mean()), float((share * (1 - share) * scores**2).mean())


def best_thresholds(metric_name: MetricName, shares: Floats, targets: Ints) -> NDArray[np.float64]:
    """(L,) thresholds of a multilabel head.

    For `macro_f1` each label gets its own best, shrunk to the common one by how few positive rows it has;
    the other metrics join all labels in one figure, which the best common threshold serves.

    Args:
        shares: (N, L) calibrated probabilities.
        targets: (N, L), -1 where unknown.
    """
    labels = shares.shape[1]
    common = common_threshold(metric_name, shares, targets)
    if metric_name != "macro_f1":
        return np.full(labels, common)
    result = np.empty(labels)
    for label in range(labels):
        known = targets[:, label] != UNLABELLED
        positive = targets[known, label] == 1
        count = float(positive.sum())
        own = _best_f1_threshold(shares[known, label], positive) if count else common
        result[label] = (count * own + SHRINK_POSITIVES * common) / (count + SHRINK_POSITIVES)
    return result


def common_threshold(metric_name: MetricName, shares: Floats, targets: Ints) -> float:
    """The one threshold for all labels with the best metric; of equals the one nearest 0.5."""
    values = [
        metric(metric_name, "multilabel", decide("multilabel", shares, t), targets, shares.shape[1])
        for t in _COMMON_GRID
    ]
    best = np.flatnonzero(np.asarray(values) >= max(values) - 1e-12)
    return float(_COMMON_GRID[best[np.abs(_COMMON_GRID[best] - 0.5).argmin()]])


def _best_f1_threshold(share: Floats, positive: NDArray[np.bool_]) -> float:
    """Midway between the two neighbouring probabilities whose cut has the best F1."""
    order = np.argsort(-share, kind="stable")
    ranked, hits = share[order], np.cumsum(positive[order])
    taken = np.arange(1, len(ranked) + 1)
    f1 = 2 * hits / (taken + positive.sum())
    # A cut between equal probabilities cannot be made.
    possible = np.append(ranked[:-1] > ranked[1:], True)
    best = int(np.where(possible, f1, -1.0).argmax())
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float(0.5 * (ranked[best] + below))
