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


def make_optimizer(network: MultiHeadNetwork, recipe: TrainSpec) -> torch.optim.AdamW:
    """AdamW over all parameters that learn; decay on matrices only. Fused: 7 times faster on CPU.

    The encoder's top layer learns at `learning_rate`, each layer below at `layer_decay` times the rate of the
    one above it.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    layers = int(network.encoder.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            rate = recipe.head_learning_rate
            if name.startswith("encoder."):
                rate = recipe.learning_rate * recipe.layer_decay ** levels_below_top(name, layers)
            groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": rate,
                "peak_lr": rate,
                "weight_decay": recipe.weight_decay if is_matrix else 0.0,
            }
            for (rate, is_matrix), parameters in groups.items()
        ],
        betas=(0.9, recipe.adam_beta2),
        fused=True,
    )


def levels_below_top(name: str, layers: int) -> int:
    """Number of layers above a parameter of an encoder of `layers` layers: `layers` for embeddings, 0 for
    other parameters outside of layers."""
    found = _LAYER.search(name)
    if found is not None:
        return layers - 1 - int(found[1])
    return layers if "embeddings" in name else 0


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to its peak times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


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

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Starts from the present weights of the parameters that get gradients."""
        self.decay = decay
        self.live = {n: p for n, p in network.named_parameters() if p.requires_grad}
        self.average = {n: p.detach().clone() for n, p in self.live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights after a step (from 0). The decay is lower in the first steps, so that the average
        forgets the initial weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.values()), list(self.live.values()), 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the live weights and the average; a second call undoes the first."""
        for name, parameter in self.live.items():
            kept = parameter.clone()
            parameter.copy_(self.average[name])
            self.average[name].copy_(kept)
