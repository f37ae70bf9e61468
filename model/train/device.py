"""Where and how precisely a training computes: device, autocast type, threads, processes.

    accelerate launch --multi_gpu -m model fit JOB.json                     # a process for each GPU
    ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 -m model fit JOB.json   # two on CPUs (gloo)

Usually there is one process. Of several, each takes every n-th row of a batch: losses are sums with fixed
divisors, so the processes' losses and gradients add up to those of one process. Does not know what is
computed."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..spec import ComputeChoice, ComputePrecision


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
        """Whether this one writes files and reports progress."""
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
        """The tensors of all processes (of one shape, on the CPU), by rank; all must call it."""
        if self.count == 1:
            return [tensor]
        gathered: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(gathered, tensor)
        return gathered


@dataclass(frozen=True, slots=True)
class Compute:
    """The device and its settings."""

    device: torch.device
    precision: ComputePrecision
    """Type of the matrix products; weights stay float32."""
    threads: int
    """CPU threads of one operation."""
    processes: Processes = field(default_factory=Processes)
    """This process among those that train together."""

    def autocast(self) -> AbstractContextManager[None]:
        """Runs the block in `precision`."""
        match self.precision:
            case "float32":
                return nullcontext()
            case "bfloat16":
                return torch.autocast(self.device.type, torch.bfloat16)
            case _:
                assert_never(self.precision)

    @property
    def attention(self) -> str:
        """transformers' attention for training. On CPU `eager`, plain products: their backward pass took a
        tenth of a step, that of PyTorch's fused attention 43%."""
        return "sdpa" if self.device.type == "cuda" else "eager"


def choose_compute(precision: ComputeChoice, threads: int | None) -> Compute:
    """This process's GPU where there is one, else the CPU; sets torch's thread count.

    By default the processes of one machine share its cores evenly.
    """
    processes, device = start_processes()
    threads = threads or max(1, available_threads() // processes.local_count)
    torch.set_num_threads(threads)
    if precision == "auto":
        precision = "bfloat16" if multiplies_bfloat16(device) else "float32"
    return Compute(device, precision, threads, processes)


def available_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device computes bfloat16 natively. Otherwise it is emulated, and slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16"})


def start_processes() -> tuple[Processes, torch.device]:
    """Join the others where a launcher started several, and find this process's device.

    One process: the first GPU where there is one, else the CPU. Several: a GPU each (NCCL), or the CPU
    (gloo) with `ACCELERATE_USE_CPU=true`.
    """
    from accelerate import PartialState

    cpu_wanted = os.environ.get("ACCELERATE_USE_CPU", "false").lower() in ("1", "true", "yes")
    # Explicit: otherwise accelerate does not join processes on CPUs.
    state = PartialState(cpu=cpu_wanted or not torch.cuda.is_available())
    local = int(os.environ.get("LOCAL_WORLD_SIZE", state.num_processes))
    return Processes(state.num_processes, state.process_index, local), state.device


def end_processes() -> None:
    """Leave the others, at the end of the program; nothing to do where there are none."""
    from accelerate import PartialState

    PartialState().destroy_process_group()
