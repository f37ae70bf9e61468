"""Several processes that train one model together; usually there is one.

    accelerate launch --multi_gpu -m model fit JOB.json                     # a process for each GPU
    ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 -m model fit JOB.json   # two on CPUs (gloo)

Each process takes every n-th row of a batch. Losses are sums with fixed divisors, so the processes' losses
and gradients add up to those of one process. Does not know networks or what is learned.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among all that train."""

    count: int = 1
    rank: int = 0
    """Which of them this is, from 0."""
    local_count: int = 1
    """How many of them run on this machine."""

    @property
    def is_main(self) -> bool:
        """Whether this one writes files and tells of the progress."""
        return self.rank == 0

    def part(self, batch: NDArray[np.int64]) -> NDArray[np.int64]:
        """This process's rows of a batch; empty where the batch has fewer rows than there are processes."""
        return batch[self.rank :: self.count]

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as it is called in training: alone itself, else one that averages gradients."""
        if self.count == 1:
            return network
        return nn.parallel.DistributedDataParallel(network)

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum of the processes' tensors; all must call it."""
        if self.count == 1:
            return tensor
        from accelerate.utils import reduce

        total: Tensor = reduce(tensor, reduction="sum")
        return total

    def from_main(self, value: Any) -> Any:
        """The main process's value, in all; all must call it."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def from_all(self, tensor: Tensor) -> list[Tensor]:
        """Everybody's tensor (of one shape, on the CPU), by rank; all must call it."""
        if self.count == 1:
            return [tensor]
        found: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(found, tensor)
        return found


def start_processes() -> tuple[Processes, torch.device]:
    """Join the others where a launcher started several, and find this process's device.

    One process: the first GPU where there is one, else the CPU. Several: a GPU each (NCCL), or the CPU
    (gloo) with `ACCELERATE_USE_CPU=true`.
    """
    from accelerate import PartialState

    asked = os.environ.get("ACCELERATE_USE_CPU", "false").lower() in ("1", "true", "yes")
    # Said outright, because accelerate joins processes on CPUs only then.
    state = PartialState(cpu=asked or not torch.cuda.is_available())
    local = int(os.environ.get("LOCAL_WORLD_SIZE", state.num_processes))
    return Processes(state.num_processes, state.process_index, local), state.device


def end_processes() -> None:
    """Leave the others, at the end of the program; nothing to do where there are none."""
    from accelerate import PartialState

    PartialState().destroy_process_group()
