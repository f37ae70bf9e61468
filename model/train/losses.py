"""Losses of the heads, masked where a row is unlabelled, and their sum.

Pure functions of tensors. Every function takes its divisor as an argument instead of averaging over the
batch: the weight of a row does not depend on its batch, and ignored rows change nothing.

Axes: B rows, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..measure.frequencies import prior_loss
from ..rows import Targets
from ..spec import UNLABELLED, HeadKind, HeadSpec, LossForm, TrainSpec


@dataclass(frozen=True, slots=True)
class HeadScale:
    """Factors of one head's summed losses; fixed for the whole training."""

    kind: HeadKind
    hard: float
    """Factor of the loss on labels: head weight / (`prior_loss` x labelled weight in a mean batch). With it
    the loss begins near the head's weight."""
    soft: float
    """Factor of the distance to the teacher: as `hard`, but with the weight of all rows in a mean batch,
    because the teacher answers every row, and with `distillation_mixing` as exponent."""
    share: float = 1.0
    """Share of the rows' weight that is labelled for the head."""
    mixing: float = 1.0
    """Exponent of `share` that is in `hard`."""

    def hard_at(self, mixing: float) -> float:
        """`hard` with another exponent of the head's share of labelled rows."""
        return self.hard if mixing == self.mixing else float(self.hard * self.share ** (mixing - self.mixing))


@dataclass(frozen=True, slots=True)
class LossShape:
    """How a head's loss on labels differs from plain cross-entropy."""

    form: LossForm = "cross_entropy"
    gamma: float = 0.0
    """γ of `focal` and `asymmetric`."""
    smoothing: float = 0.0
    """Share of an answer that is spread over all labels."""
    label_weights: Tensor | None = None
    """(L,) factor of a row of each label (multiclass) or of a present cell (multilabel)."""


@dataclass(frozen=True, slots=True)
class Teaching:
    """A teacher's answers to a batch, and how much they count."""

    logits: Tensor
    """(B, L)."""
    share: float
    """Share of the loss that is the distance to the teacher."""
    temperature: float = 1.0
    """Softens teacher and student alike."""


PLAIN = LossShape()
"""Plain cross-entropy."""

ASYMMETRIC_MARGIN = 0.05
"""Probability below which an absent label costs nothing in `asymmetric` (Ridnik et al. 2021, section 2.3)."""

_SMALLEST = 1e-6
"""Keeps the gradient of x^γ finite at x = 0 for γ < 1."""


def multiclass_loss(logits: Tensor, targets: Tensor, row_weights: Tensor, shape: LossShape = PLAIN) -> Tensor:
    """Sum over labelled rows of weight x cross-entropy, a scalar.

    Args:
        logits: (B, L) float32.
        targets: (B,) label index, -1 for unlabelled.
        row_weights: (B,).
        shape: `focal` weighs a row by (1 − p)^γ, where p is the probability of its label; `asymmetric` is for
            multilabel heads and changes nothing here.
    """
    losses = F.cross_entropy(
        logits, targets, ignore_index=UNLABELLED, reduction="none", label_smoothing=shape.smoothing
    )
    true = targets.clamp(min=0)
    match shape.form:
        case "focal":
            p = logits.softmax(1).gather(1, true.unsqueeze(1)).squeeze(1)
            losses = losses * (1 - p).clamp(min=_SMALLEST) ** shape.gamma
        case "cross_entropy" | "asymmetric":
            pass
        case _:
            assert_never(shape.form)
    if shape.label_weights is not None:
        losses = losses * shape.label_weights[true]
    return (losses * row_weights).sum()


def multilabel_loss(logits: Tensor, targets: Tensor, row_weights: Tensor, shape: LossShape = PLAIN) -> Tensor:
    """Sum over known cells of weight x binary cross-entropy, a scalar.

    Args:
        logits: (B, L) float32.
        targets: (B, L) 1, 0 or -1 for unknown.
        row_weights: (B,).
        shape: `focal` weighs a cell by (1 − p)^γ, where p is the probability of its target. In `asymmetric`
            present cells lose as in cross-entropy, absent ones −q^γ log(1 − q) with q = max(p − 0.05, 0).
    """
    known = (targets != UNLABELLED).to(logits.dtype)
    answers = targets.clamp(min=0).to(logits.dtype)
    soft = answers * (1 - shape.smoothing) + 0.5 * shape.smoothing
    match shape.form:
        case "cross_entropy":
            losses = F.binary_cross_entropy_with_logits(logits, soft, reduction="none")
        case "focal":
            losses = F.binary_cross_entropy_with_logits(logits, soft, reduction="none")
            p = torch.where(answers > 0, logits, -logits).sigmoid()
            losses = losses * (1 - p).clamp(min=_SMALLEST) ** shape.gamma
        case "asymmetric":
            shifted = (logits.sigmoid() - ASYMMETRIC_MARGIN).clamp(min=0)
            absent = -torch.log1p(-shifted.clamp(max=1 - _SMALLEST))
            absent = absent * shifted.clamp(min=_SMALLEST) ** shape.gamma
            losses = -soft * F.logsigmoid(logits) + (1 - soft) * absent
        case _:
            assert_never(shape.form)
    if shape.label_weights is not None:
        losses = losses * (1 + answers * (shape.label_weights - 1))
    return ((losses * known).sum(1) * row_weights).sum()


def hard_loss(
    kind: HeadKind, logits: Tensor, targets: Tensor, row_weights: Tensor, shape: LossShape = PLAIN
) -> Tensor:
    """`multiclass_loss` or `multilabel_loss`."""
    match kind:
        case "multiclass":
            return multiclass_loss(logits, targets, row_weights, shape)
        case "multilabel":
            return multilabel_loss(logits, targets, row_weights, shape)
        case _:
            assert_never(kind)


def distillation_loss(
    kind: HeadKind, logits: Tensor, teacher: Tensor, row_weights: Tensor, temperature: float
) -> Tensor:
    """Sum over rows of weight x distance to the teacher's softened answer, a scalar, 0 when equal.

    multiclass: T² KL(softmax(teacher / T) ‖ softmax(logits / T)) (Hinton et al. 2015, section 2; T² keeps
    the gradient's size). multilabel: the sum over labels of T² KL between the two Bernoulli distributions.

    Args:
        logits, teacher: (B, L) float32.
        row_weights: (B,).
        temperature: T > 0.
    """
    match kind:
        case "multiclass":
            log_student = F.log_softmax(logits / temperature, dim=-1)
            log_teacher = F.log_softmax(teacher / temperature, dim=-1)
            distance = F.kl_div(log_student, log_teacher, log_target=True, reduction="none").sum(1)
        case "multilabel":
            soft = torch.sigmoid(teacher / temperature)
            cross = F.binary_cross_entropy_with_logits(logits / temperature, soft, reduction="none")
            entropy = F.binary_cross_entropy_with_logits(teacher / temperature, soft, reduction="none")
            distance = (cross - entropy).sum(1)
        case _:
            assert_never(kind)
    return (distance * row_weights).sum() * temperature**2


def head_loss(
    scale: HeadScale,
    logits: Tensor,
    targets: Tensor,
    row_weights: Tensor,
    *,
    teaching: Teaching | None = None,
    shape: LossShape = PLAIN,
    mixing: float | None = None,
) -> Tensor:
    """One head's scaled loss, a scalar: (1 − s) hard + s soft, where s is the teacher's share.

    Teacher annealing (Clark et al. 2019, "BAM!", section 3.2) lowers s over the training. Rows without
    a label still learn from the teacher.

    Args:
        logits: (B, L_h).
        targets: (B,) or (B, L_h).
        row_weights: (B,).
        shape: of the loss on labels; the distance to the teacher is always the plain one.
        mixing: exponent of the head's share of labelled rows at this step; none: the one in `scale`.
    """
    factor = scale.hard if mixing is None else scale.hard_at(mixing)
    hard = hard_loss(scale.kind, logits, targets, row_weights, shape) * factor
    if teaching is None or teaching.share == 0.0:
        return hard
    distance = distillation_loss(scale.kind, logits, teaching.logits, row_weights, teaching.temperature)
    return (1 - teaching.share) * hard + teaching.share * (distance * scale.soft)


def head_scale(
    head: HeadSpec, targets: Targets, row_weights: NDArray[np.floating[Any]], recipe: TrainSpec, batches: int
) -> HeadScale:
    """The scale of one head over an epoch of `batches` batches.

    Every form is scaled by plain cross-entropy, so a focal or asymmetric loss begins below its head's weight
    (decision 26).

    Args:
        targets: (N,) or (N, L_h) of all training rows, -1 where unlabelled.
        row_weights: (N,).
        recipe: says whether losses are balanced, and the exponents of the head's share of labelled rows.
    """
    labels, mixing = len(head.labels), recipe.mixing_exponent
    labelled = targets != UNLABELLED if targets.ndim == 1 else (targets != UNLABELLED).any(1)
    everything = float(row_weights.sum())
    share = float(row_weights[labelled].sum()) / everything
    unit = prior_loss(head.kind, targets, labels) if recipe.balance_losses else _cells(head.kind, labels)
    even = head.weight * batches / (everything * unit)
    soft = even * share**recipe.distillation_mixing
    return HeadScale(head.kind, even * share ** (mixing - 1.0), soft, share, mixing)


def _cells(kind: HeadKind, labels: int) -> float:
    """Number of terms in a row's loss."""
    match kind:
        case "multiclass":
            return 1.0
        case "multilabel":
            return float(labels)
        case _:
            assert_never(kind)


def combine(losses: Mapping[str, Tensor]) -> Tensor:
    """The sum over heads, a scalar; each head's weight is in its scale already."""
    return torch.stack(list(losses.values())).sum()
