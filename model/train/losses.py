"""Losses of the heads, masked where a row is unlabelled, and their sum.

Pure functions of tensors. Every function takes its divisor as an argument instead of averaging over the
batch: a row counts the same in whatever batch it comes, and ignored rows change nothing.

Axes: B rows, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..rows import Targets
from ..spec import UNLABELLED, HeadKind

LossForm = Literal["cross_entropy", "focal", "asymmetric"]

MOST_LABEL_WEIGHT = 100.0
"""A label with a handful of rows must not outweigh all others."""


@dataclass(frozen=True, slots=True)
class HeadScale:
    """What one head's summed loss is multiplied with; fixed for the whole training."""

    kind: HeadKind
    hard: float
    """Factor of the loss on labels: head weight / (loss of the label frequencies x labelled weight in a
    mean batch), so that it begins near the head's weight."""
    soft: float
    """Factor of the distance to the teacher: the same with the weight of all rows in a mean batch, since
    the teacher answers every row, and with an exponent of its own."""
    share: float = 1.0
    """Share of the rows' weight that is labelled for the head."""
    mixing: float = 1.0
    """Exponent of `share` that is in `hard`."""

    def hard_at(self, mixing: float) -> float:
        """`hard` with another exponent of the head's share of labelled rows."""
        return self.hard if mixing == self.mixing else float(self.hard * self.share ** (mixing - self.mixing))


@dataclass(frozen=True, slots=True)
class LossShape:
    """How a head's loss on labels departs from plain cross-entropy."""

    form: LossForm = "cross_entropy"
    gamma: float = 0.0
    """γ of `focal` and `asymmetric`."""
    smoothing: float = 0.0
    """Share of an answer that is spread over all labels."""
    label_weights: Tensor | None = None
    """(L,) factor of a row of each label (multiclass) or of a present cell (multilabel)."""


PLAIN = LossShape()
"""Cross-entropy as it is."""

ASYMMETRIC_MARGIN = 0.05
"""Chance below which `asymmetric` leaves an absent label alone (Ridnik et al. 2021, section 2.3)."""

_SMALLEST = 1e-6
"""Keeps the gradient of x^γ finite at x = 0 for γ < 1."""


def multiclass_loss(logits: Tensor, targets: Tensor, row_weights: Tensor, shape: LossShape = PLAIN) -> Tensor:
    """Sum over labelled rows of weight x cross-entropy, a scalar.

    Args:
        logits: (B, L) float32.
        targets: (B,) label index, -1 for unlabelled.
        row_weights: (B,).
        shape: `focal` weighs a row by (1 − p)^γ, where p is the chance given to its label.
    """
    losses = F.cross_entropy(
        logits, targets, ignore_index=UNLABELLED, reduction="none", label_smoothing=shape.smoothing
    )
    own = targets.clamp(min=0)
    if shape.form == "focal":
        chance = logits.softmax(1).gather(1, own.unsqueeze(1)).squeeze(1)
        losses = losses * (1 - chance).clamp(min=_SMALLEST) ** shape.gamma
    if shape.label_weights is not None:
        losses = losses * shape.label_weights[own]
    return (losses * row_weights).sum()


def multilabel_loss(logits: Tensor, targets: Tensor, row_weights: Tensor, shape: LossShape = PLAIN) -> Tensor:
    """Sum over known cells of weight x binary cross-entropy, a scalar.

    Args:
        logits: (B, L) float32.
        targets: (B, L) 1, 0 or -1 for unknown.
        row_weights: (B,).
        shape: `focal` weighs a cell by (1 − p)^γ, where p is the chance given to its answer. `asymmetric`
            leaves present cells alone; absent ones lose −q^γ log(1 − q) with q = max(p − 0.05, 0).
    """
    known = (targets != UNLABELLED).to(logits.dtype)
    answers = targets.clamp(min=0).to(logits.dtype)
    soft = answers * (1 - shape.smoothing) + 0.5 * shape.smoothing
    if shape.form == "asymmetric":
        shifted = (logits.sigmoid() - ASYMMETRIC_MARGIN).clamp(min=0)
        absent = -torch.log1p(-shifted.clamp(max=1 - _SMALLEST))
        absent = absent * shifted.clamp(min=_SMALLEST) ** shape.gamma
        losses = -soft * F.logsigmoid(logits) + (1 - soft) * absent
    else:
        losses = F.binary_cross_entropy_with_logits(logits, soft, reduction="none")
    if shape.form == "focal":
        chance = torch.where(answers > 0, logits, -logits).sigmoid()
        losses = losses * (1 - chance).clamp(min=_SMALLEST) ** shape.gamma
    if shape.label_weights is not None:
        losses = losses * (1 + answers * (shape.label_weights - 1))
    return ((losses * known).sum(1) * row_weights).sum()


def hard_loss(
    kind: HeadKind, logits: Tensor, targets: Tensor, row_weights: Tensor, shape: LossShape = PLAIN
) -> Tensor:
    """`multiclass_loss` or `multilabel_loss`."""
    compute = multiclass_loss if kind == "multiclass" else multilabel_loss
    return compute(logits, targets, row_weights, shape)


def label_weights(
    kind: HeadKind, targets: Targets, labels: int, exponent: float
) -> NDArray[np.float32] | None:
    """(L_h,) weights of rare labels, see `TrainSpec.rare_label_exponent`; none where `exponent` is 0.

    A label without any row gets 1: there is nothing to weigh.

    Args:
        targets: (N,) or (N, L_h), -1 where unlabelled.
        labels: L_h.
    """
    if exponent == 0:
        return None
    shares = label_shares(kind, targets, labels)
    seen = (shares > 0) & (shares < 1 if kind == "multilabel" else True)
    weights = np.ones(labels)
    odds = shares[seen] if kind == "multiclass" else shares[seen] / (1 - shares[seen])
    weights[seen] = np.minimum(odds**-exponent, MOST_LABEL_WEIGHT)
    if kind == "multiclass":
        weights[seen] /= float((weights[seen] * shares[seen]).sum())
    return weights.astype(np.float32)


def distillation_loss(
    kind: HeadKind, logits: Tensor, teacher: Tensor, row_weights: Tensor, temperature: float
) -> Tensor:
    """Sum over rows of weight x distance to the teacher's softened answer, a scalar, 0 when equal.

    multiclass: T² KL(softmax(teacher / T) ‖ softmax(logits / T)) (Hinton et al. 2015, section 2; T² keeps
    the gradient's size). multilabel: the same for each label's two outcomes, summed.

    Args:
        logits, teacher: (B, L) float32.
        row_weights: (B,).
        temperature: T > 0.
    """
    if kind == "multiclass":
        log_student = F.log_softmax(logits / temperature, dim=-1)
        log_teacher = F.log_softmax(teacher / temperature, dim=-1)
        distance = F.kl_div(log_student, log_teacher, log_target=True, reduction="none").sum(1)
    else:
        soft = torch.sigmoid(teacher / temperature)
        cross = F.binary_cross_entropy_with_logits(logits / temperature, soft, reduction="none")
        own = F.binary_cross_entropy_with_logits(teacher / temperature, soft, reduction="none")
        distance = (cross - own).sum(1)
    return (distance * row_weights).sum() * temperature**2


def head_loss(
    scale: HeadScale,
    logits: Tensor,
    targets: Tensor,
    row_weights: Tensor,
    *,
    teacher: Tensor | None = None,
    teacher_share: float = 0.0,
    temperature: float = 1.0,
    shape: LossShape = PLAIN,
    mixing: float | None = None,
) -> Tensor:
    """One head's scaled loss, a scalar: (1 − s) hard + s soft, where s is the teacher's share.

    Teacher annealing (Clark et al. 2019, "BAM!", section 3.2) lowers s over the training. Rows without
    a label still learn from the teacher.

    Args:
        logits, teacher: (B, L_h).
        targets: (B,) or (B, L_h).
        row_weights: (B,).
        shape: of the loss on labels; the teacher's is always the plain one.
        mixing: exponent of the head's share of labelled rows at this step; none: the one in `scale`.
    """
    factor = scale.hard if mixing is None else scale.hard_at(mixing)
    hard = hard_loss(scale.kind, logits, targets, row_weights, shape) * factor
    if teacher is None or teacher_share == 0.0:
        return hard
    soft = distillation_loss(scale.kind, logits, teacher, row_weights, temperature) * scale.soft
    return (1 - teacher_share) * hard + teacher_share * soft


def head_scale(
    kind: HeadKind,
    targets: Targets,
    row_weights: NDArray[np.floating[Any]],
    labels: int,
    *,
    weight: float,
    balance: bool,
    batches: int,
    mixing: float,
    teacher_mixing: float = 0.0,
) -> HeadScale:
    """The scale of one head over an epoch of `batches` batches.

    Args:
        targets: (N,) or (N, L_h) of all training rows, -1 where unlabelled.
        row_weights: (N,).
        labels: L_h.
        weight: the head's weight.
        balance: divide by `prior_loss`; otherwise a multilabel loss is averaged over its labels.
        mixing: exponent of the head's share of labelled rows: 0, heads count the same; 1, rows do.
        teacher_mixing: the same for the distance to the teacher.
    """
    labelled = targets != UNLABELLED if targets.ndim == 1 else (targets != UNLABELLED).any(1)
    everything = float(row_weights.sum())
    share = float(row_weights[labelled].sum()) / everything
    unit = prior_loss(kind, targets, labels) if balance else (1.0 if kind == "multiclass" else float(labels))
    even = weight * batches / (everything * unit)
    return HeadScale(kind, even * share ** (mixing - 1.0), even * share**teacher_mixing, share, mixing)


def combine(losses: Mapping[str, Tensor]) -> Tensor:
    """The sum over heads, a scalar; each head's weight is in its scale already."""
    return torch.stack(list(losses.values())).sum()


def prior_loss(kind: HeadKind, targets: Targets, labels: int) -> float:
    """Loss a labelled row has when only the label frequencies are known, in nats.

    multiclass: the entropy of the labels. multilabel: the sum over labels of each one's binary entropy.
    At least 0.01, so that a head whose rows nearly all agree is not blown up.

    Args:
        targets: (N,) or (N, L_h), -1 where unlabelled.
        labels: L_h.
    """
    shares = label_shares(kind, targets, labels)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nan_to_num(shares * np.log(shares)).sum()
        if kind == "multilabel":
            entropy -= np.nan_to_num((1 - shares) * np.log(1 - shares)).sum()
    return max(float(entropy), 0.01)


def label_shares(kind: HeadKind, targets: Targets, labels: int) -> NDArray[np.float64]:
    """(L_h,) share of the labelled rows that have each label; 0 where nothing is labelled."""
    if kind == "multiclass":
        counts = np.bincount(targets[targets != UNLABELLED], minlength=labels).astype(np.float64)
    else:
        counts = (targets == 1).sum(0).astype(np.float64)
    known = (targets != UNLABELLED).sum(0)
    shares: NDArray[np.float64] = counts / np.maximum(known, 1)
    return shares
