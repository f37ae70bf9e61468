"""Where and how precisely to compute: device, autocast type, threads.

Knows the hardware. Does not know what is computed.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from .processes import Processes, start_processes

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Compute:
    """The device and its settings."""

    device: torch.device
    precision: Literal["float32", "bfloat16"]
    """Type of the matrix products; weights stay float32."""
    threads: int
    """CPU threads of one operation."""
    processes: Processes = field(default_factory=Processes)
    """This process among those that train together."""

    def autocast(self) -> AbstractContextManager[None]:
        """Runs the block in `precision`."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @property
    def attention(self) -> str:
        """transformers' attention for training. On CPU, `eager`: the backward pass of PyTorch's fused
        attention took 43% of a step there, plain products a tenth."""
        return "sdpa" if self.device.type == "cuda" else "eager"


def choose_compute(precision: Precision, threads: int | None) -> Compute:
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
    """Whether bfloat16 is native there. Elsewhere it is emulated and slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16"})
