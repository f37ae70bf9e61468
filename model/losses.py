"""Losses of the heads, masked where a row is unlabelled, and their sum.

Pure functions of tensors. Every function takes its divisor as an argument instead of averaging over the
batch: a row counts the same in whatever batch it comes, and ignored rows change nothing.

Axes: B rows, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .rows import Targets
from .spec import UNLABELLED, HeadKind


@dataclass(frozen=True, slots=True)
class HeadScale:
    """What one head's summed loss is multiplied with; fixed for the whole training."""

    kind: HeadKind
    hard: float
    """Factor of the loss on labels: head weight / (loss of the label frequencies x labelled weight in a
    mean batch), so that it begins near the head's weight."""
    soft: float
    """Factor of the distance to the teacher: the same with the weight of all rows in a mean batch, since
    the teacher answers every row."""


def multiclass_loss(logits: Tensor, targets: Tensor, row_weights: Tensor) -> Tensor:
    """Sum over labelled rows of weight x cross-entropy, a scalar.

    Args:
        logits: (B, L) float32.
        targets: (B,) label index, -1 for unlabelled.
        row_weights: (B,).
    """
    losses = F.cross_entropy(logits, targets, ignore_index=UNLABELLED, reduction="none")
    return (losses * row_weights).sum()


def multilabel_loss(logits: Tensor, targets: Tensor, row_weights: Tensor) -> Tensor:
    """Sum over known cells of weight x binary cross-entropy, a scalar.

    Args:
        logits: (B, L) float32.
        targets: (B, L) 1, 0 or -1 for unknown.
        row_weights: (B,).
    """
    known = (targets != UNLABELLED).to(logits.dtype)
    answers = targets.clamp(min=0).to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, answers, weight=known, reduction="none")
    return (losses.sum(1) * row_weights).sum()


def hard_loss(kind: HeadKind, logits: Tensor, targets: Tensor, row_weights: Tensor) -> Tensor:
    """`multiclass_loss` or `multilabel_loss`."""
    compute = multiclass_loss if kind == "multiclass" else multilabel_loss
    return compute(logits, targets, row_weights)


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
) -> Tensor:
    """One head's scaled loss, a scalar: (1 − s) hard + s soft, where s is the teacher's share.

    Teacher annealing (Clark et al. 2019, "BAM!", section 3.2) lowers s over the training. Rows without
    a label still learn from the teacher.

    Args:
        logits, teacher: (B, L_h).
        targets: (B,) or (B, L_h).
        row_weights: (B,).
    """
    hard = hard_loss(scale.kind, logits, targets, row_weights) * scale.hard
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
) -> HeadScale:
    """The scale of one head over an epoch of `batches` batches.

    Args:
        targets: (N,) or (N, L_h) of all training rows, -1 where unlabelled.
        row_weights: (N,).
        labels: L_h.
        weight: the head's weight.
        balance: divide by `prior_loss`; otherwise a multilabel loss is averaged over its labels.
        mixing: exponent of the head's share of labelled rows: 0, heads count the same; 1, rows do.
    """
    labelled = targets != UNLABELLED if targets.ndim == 1 else (targets != UNLABELLED).any(1)
    everything = float(row_weights.sum())
    share = float(row_weights[labelled].sum()) / everything
    unit = prior_loss(kind, targets, labels) if balance else (1.0 if kind == "multiclass" else float(labels))
    soft = weight * batches / (everything * unit)
    return HeadScale(kind, hard=soft * share ** (mixing - 1.0), soft=soft)


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
