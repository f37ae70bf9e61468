"""The loss of a training: each head's scale and form from the recipe, and the loss of one batch.

Knows the recipe and the training rows. Does not know the network. Axes: B rows, L_h labels of head h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..bundle.batches import Batch
from ..measure.frequencies import label_weights
from ..rows import Targets
from ..spec import UNLABELLED, HeadKind, HeadSpec, TrainSpec
from .losses import LossShape, Teaching, head_loss, head_scale
from .rows import TrainingRows

ToDevice = Callable[[NDArray[Any]], Tensor]
"""Brings an array to the device of the training."""


def teacher_share_at(recipe: TrainSpec, done: float) -> float:
    """Share of the loss taken from the teachers when the share `done` of all steps has been made."""
    return recipe.distillation + (recipe.distillation_final - recipe.distillation) * done


def mixing_at(recipe: TrainSpec, done: float) -> float:
    """Exponent of a head's share of labelled rows when the share `done` of all steps has been made."""
    first, last = recipe.mixing_exponent, recipe.mixing_final_exponent
    return first if last is None else first + (last - first) * done


class Objective:
    """What a training minimises."""

    def __init__(
        self,
        heads: Mapping[str, HeadSpec],
        recipe: TrainSpec,
        rows: TrainingRows,
        batches: int,
        to_device: ToDevice,
    ) -> None:
        """`batches` is the number of batches of an epoch."""
        self.recipe, self.rows, self.to_device = recipe, rows, to_device
        self.scales = {
            name: head_scale(head, rows.targets[name], rows.weights, recipe, batches)
            for name, head in heads.items()
        }
        self.shapes = {name: self._shape(head, rows.targets[name]) for name, head in heads.items()}

    def _shape(self, head: HeadSpec, targets: Targets) -> LossShape:
        recipe = self.recipe
        rare = label_weights(head.kind, targets, len(head.labels), recipe.rare_label_exponent)
        weights = None if rare is None else self.to_device(rare)
        return LossShape(recipe.loss, recipe.focal_gamma, recipe.label_smoothing, weights)

    def losses(self, batch: Batch, logits: Mapping[str, Tensor], done: float) -> dict[str, Tensor]:
        """Scaled loss of each head, a scalar, when the share `done` of all steps has been made.

        Args:
            batch: (B,) rows.
            logits: head → (B, L_h).
        """
        mixing = mixing_at(self.recipe, done)
        weights = self.to_device(self.rows.weights[batch])
        losses = {}
        for name, scale in self.scales.items():
            targets, teaching = self.rows.targets[name][batch], self._teaching(name, batch, done)
            if teaching is None and not (targets != UNLABELLED).any():
                # In the graph all the same: several processes wait for a gradient of every head.
                losses[name] = logits[name].sum() * 0.0
                continue
            losses[name] = head_loss(
                scale,
                logits[name],
                self.to_device(_as_index(scale.kind, targets)),
                weights,
                teaching=teaching,
                shape=self.shapes[name],
                mixing=mixing,
            )
        return losses

    def _teaching(self, head: str, batch: Batch, done: float) -> Teaching | None:
        teacher, share = self.rows.teachers.get(head), teacher_share_at(self.recipe, done)
        if teacher is None or share == 0.0:
            return None
        return Teaching(self.to_device(teacher[batch]), share, self.recipe.distillation_temperature)


def _as_index(kind: HeadKind, targets: Targets) -> Targets:
    """Targets of the type that torch's loss takes: label indices as int64, cells as they are."""
    match kind:
        case "multiclass":
            return targets.astype(np.int64)
        case "multilabel":
            return targets
        case _:
            assert_never(kind)
