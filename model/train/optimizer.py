"""The optimizer, its parameter groups and the course of the learning rate.

Knows parameters' names and shapes. Does not know losses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from .network import MultiHeadNetwork

Schedule = Literal["linear", "cosine", "constant", "plateau"]

PLATEAU_FACTOR = 0.5
"""The learning rate's factor at each drop of `plateau`."""

_LAYER = re.compile(r"\.layers?\.(\d+)\.")


def set_encoder_dropout(network: MultiHeadNetwork, probability: float) -> None:
    """Set every dropout inside the encoder, attention included."""
    for module in network.encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability


def freeze_embeddings(network: MultiHeadNetwork) -> None:
    """Leave the encoder's embeddings as pretrained: nothing below the first layer gets a gradient."""
    embeddings = getattr(network.encoder, "embeddings", None)
    if embeddings is None:
        embeddings = network.encoder.get_input_embeddings()  # type: ignore[operator]
    for parameter in embeddings.parameters():
        parameter.requires_grad_(False)


def make_optimizer(
    network: MultiHeadNetwork,
    *,
    learning_rate: float,
    head_learning_rate: float,
    weight_decay: float,
    layer_decay: float = 1.0,
    beta2: float = 0.999,
) -> torch.optim.AdamW:
    """AdamW over all parameters that learn; decay on matrices only. Fused: 7 times faster on CPU.

    Args:
        layer_decay: the top layer learns at `learning_rate`, each one below at this share of the one above.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    layers = int(network.encoder.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            rate = head_learning_rate
            if name.startswith("encoder."):
                rate = learning_rate * layer_decay ** levels_below_top(name, layers)
            groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": rate,
                "peak_lr": rate,
                "weight_decay": weight_decay if is_matrix else 0.0,
            }
            for (rate, is_matrix), parameters in groups.items()
        ],
        betas=(0.9, beta2),
        fused=True,
    )


def levels_below_top(name: str, layers: int) -> int:
    """How many layers lie above a parameter of an encoder with so many layers: 0 in the top layer and in
    what belongs to none, `layers` in the embeddings."""
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
        drops: for `plateau`, how often it has dropped.
    """
    warmup = round(warmup_share * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    if schedule == "plateau":
        return float(PLATEAU_FACTOR**drops)
    done = (step - warmup) / max(1, steps - warmup)
    return 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))


def plateaus(means: Sequence[float], patience: int) -> int:
    """How often `patience` epochs in a row have brought nothing better than the best before them.

    After each time the count begins anew, with the same best. A pure function of the past, so a training
    that goes on from a checkpoint finds the same.

    Args:
        means: mean metric of each epoch so far.
    """
    best, waited, found = -math.inf, 0, 0
    for mean in means:
        if mean > best:
            best, waited = mean, 0
            continue
        waited += 1
        if waited == patience:
            found, waited = found + 1, 0
    return found


class WeightAverage:
    """Running average of the weights that learn (Polyak averaging with exponential decay)."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = {n: p for n, p in network.named_parameters() if p.requires_grad}
        self.average = {n: p.detach().clone() for n, p in self.live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step (from 0). Early on the decay is lower, so that the average
        does not remember the start."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.values()), list(self.live.values()), 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the live weights and the average; a second call undoes the first."""
        for name, parameter in self.live.items():
            kept = parameter.clone()
            parameter.copy_(self.average[name])
            self.average[name].copy_(kept)
