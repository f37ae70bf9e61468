"""The optimizer, its parameter groups and the course of the learning rate.

Knows parameters' names and shapes. Does not know losses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import assert_never

import torch
from torch import nn

from ..spec import Schedule, TrainSpec
from .fast.masters import GroupPlan, Masters, halved
from .network import MultiHeadNetwork

PLATEAU_FACTOR = 0.5
"""The learning rate's factor at each drop of `plateau`."""

_LAYER = re.compile(r"\.layers?\.(\d+)\.")


def set_encoder_dropout(network: MultiHeadNetwork, probability: float) -> None:
    """Set every dropout inside the encoder, attention included."""
    for module in network.encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability


def freeze_embeddings(network: MultiHeadNetwork) -> None:
    """Keep the encoder's pretrained embeddings fixed: nothing below the first layer gets a gradient."""
    embeddings = getattr(network.encoder, "embeddings", None)
    if embeddings is None:
        embeddings = network.encoder.get_input_embeddings()  # type: ignore[operator]
    for parameter in embeddings.parameters():
        parameter.requires_grad_(False)


def make_masters(
    network: MultiHeadNetwork, recipe: TrainSpec, *, in_half: bool = False, workers: int = 1
) -> Masters:
    """AdamW over all parameters that learn; decay on matrices only.

    The encoder's top layer learns at `learning_rate`, each layer below at `layer_decay` times the rate of the
    one above it.

    Args:
        in_half: whether the network holds the encoder's matrices in bfloat16.
        workers: how many write gradients side by side.
    """
    groups: dict[tuple[float, bool], dict[str, nn.Parameter]] = {}
    layers = int(network.encoder.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
    learning = {n: p for n, p in network.named_parameters() if p.requires_grad}
    for name, parameter in learning.items():
        rate = recipe.head_learning_rate
        if name.startswith("encoder."):
            rate = recipe.learning_rate * recipe.layer_decay ** levels_below_top(name, layers)
        groups.setdefault((rate, parameter.ndim > 1), {})[name] = parameter
    plans = [
        GroupPlan(parameters, rate, recipe.weight_decay if is_matrix else 0.0)
        for (rate, is_matrix), parameters in groups.items()
    ]
    halves = halved(network, learning) if in_half else frozenset[str]()
    return Masters(plans, halves, beta2=recipe.adam_beta2, workers=workers)


def levels_below_top(name: str, layers: int) -> int:
    """Number of layers above a parameter of an encoder of `layers` layers: `layers` for embeddings, 0 for
    other parameters outside of layers."""
    found = _LAYER.search(name)
    if found is not None:
        return layers - 1 - int(found[1])
    return layers if "embeddings" in name else 0


def rate_factor(step: int, steps: int, *, warmup_share: float, schedule: Schedule, drops: int = 0) -> float:
    """Learning rate of a step (from 0) as a share of its peak: a rise, then the schedule.

    Args:
        drops: for `plateau`, how often the rate has dropped.
    """
    warmup = round(warmup_share * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - warmup)
    match schedule:
        case "constant":
            return 1.0
        case "plateau":
            return float(PLATEAU_FACTOR**drops)
        case "linear":
            return 1.0 - done
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * done))
        case _:
            assert_never(schedule)


def plateaus(means: Sequence[float], patience: int) -> int:
    """How often `patience` epochs in a row have not improved on the best mean so far.

    After each plateau the count of epochs starts again at 0; the best mean stays. A pure function of the
    past, so that a resumed training decides as an uninterrupted one.

    Args:
        means: mean metric of each epoch so far.
    """
    best, waited, count = -math.inf, 0, 0
    for mean in means:
        if mean > best:
            best, waited = mean, 0
            continue
        waited += 1
        if waited == patience:
            count, waited = count + 1, 0
    return count


class WeightAverage:
    """Running average of the weights that learn (Polyak averaging with exponential decay)."""

    def __init__(self, masters: Masters, decay: float) -> None:
        """Starts from the present weights."""
        self.decay, self.masters = decay, masters
        self.average = {n: p.clone() for n, p in masters.named.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights after a step (from 0). The decay is lower in the first steps, so that the average
        forgets the initial weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.values()), list(self.masters.named.values()), 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the live weights and the average; a second call undoes the first."""
        for name, weights in self.masters.named.items():
            kept = weights.clone()
            weights.copy_(self.average[name])
            self.average[name].copy_(kept)
        self.masters.renew()
