"""Memory of trainings: what one will take, what there is, and whether one was killed for lack of it.

Reads /proc and the control group alone. Does not know what is trained.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..files import read_json
from ..spec import TrainSpec

MIB = 2**20
BASE_MIB = 700
"""What a process with torch, transformers and its buffers holds before anything is trained, in MiB."""
SAMPLE_S = 0.5
"""Seconds between two looks at a process."""
SIGKILL_CODES = (-9, 137)
"""Exit codes of a process that was killed: of our own child, and of one that a shell or container ran."""


def estimate_fit_mib(encoder: Path, train: TrainSpec, longest: int) -> float | None:
    """Memory that training an encoder takes at most, in MiB; None where its files do not say it.

    Weights, gradients and AdamW's two moments, and what the forward pass keeps: of each layer
    `s·b·h·(34 + 5·a·s/h)` bytes at 16 bits (Korthikanti et al. 2022, "Reducing Activation Recomputation in
    Large Transformer Models", eq. 2), twice that at 32. Right within a third, not within a tenth.

    Args:
        encoder: its folder.
        longest: tokens of the longest text.
    """
    try:
        config = read_json(encoder / "config.json")
        width = int(config.get("hidden_size") or config["dim"])
        layers = int(config.get("num_hidden_layers") or config["n_layers"])
        attentions = int(config.get("num_attention_heads") or config["n_heads"])
        vocabulary = int(config["vocab_size"])
        weights = sum(map(_parameters, encoder.glob("model*.safetensors")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    trained = weights - (vocabulary * width if train.frozen_embeddings else 0)
    long = max(1, min(longest, train.max_length))
    rows = max(1, min(train.batch_rows, train.batch_tokens // long))
    kept = layers * rows * long * width * (34 + 5 * attentions * long / width)
    exact = 1 if train.precision == "bfloat16" else 2
    averaged = weights if train.ema_decay > 0 else 0
    return BASE_MIB + (4 * (weights + averaged) + 12 * trained + exact * kept) / MIB


def _parameters(file: Path) -> int:
    """Numbers that a safetensors file holds, from its header."""
    with file.open("rb") as stream:
        header: dict[str, Any] = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    total = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            count = 1
            for side in tensor["shape"]:
                count *= side
            total += count
    return total


def available_mib() -> float:
    """Memory that a new process can have without swapping, in MiB: of the machine or its control group."""
    free = _field(Path("/proc/meminfo"), "MemAvailable") / 1024
    for limit, used in _group_files():
        try:
            files = _field(used.with_name("memory.stat"), "inactive_file")  # given back when it is needed
            free = min(free, (int(limit.read_text()) - int(used.read_text()) + files) / MIB)
        except (OSError, ValueError):
            continue  # no such group, or no limit: `max`
    return max(free, 0.0)


def memory_warning(encoder: Path, train: TrainSpec, tokens: Mapping[str, Any]) -> str:
    """What to say before a training that takes more memory than there is; empty where it fits.

    Args:
        tokens: from `model.jobs.prepare.measure_tokens`.
    """
    longest = max(int(split["max"]) for split in tokens["splits"].values())
    needed, free = estimate_fit_mib(encoder, train, longest), available_mib()
    if needed is None or needed <= free:
        return ""
    return (
        f"a training will take about {needed:,.0f} MiB of memory, and {free:,.0f} MiB are free: if it is "
        f"killed, {lower(train)}"
    )


def lower(train: TrainSpec) -> str:
    """Which settings take less memory, as advice."""
    return (
        f"lower train.batch_rows (now {train.batch_rows}), train.batch_tokens (now {train.batch_tokens}) or "
        f"train.max_length (now {train.max_length})"
    )


@dataclass(slots=True)
class MemoryWatch:
    """Looks at a process while it runs: what it held at most, and what was free at least.

    `with MemoryWatch(pid) as watch: …`, then `watch.said()`.
    """

    pid: int
    held_mib: float = 0.0
    free_mib: float = field(default_factory=available_mib)
    _kills: int = field(default_factory=lambda: _kills_so_far())
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(SAMPLE_S):
            held = _field(Path(f"/proc/{self.pid}/status"), "VmHWM") / 1024
            self.held_mib = max(self.held_mib, held)
            self.free_mib = min(self.free_mib, available_mib())

    def said(self) -> str:
        """Why a killed process was killed, as far as the system tells, and how much memory there was."""
        sure = _kills_so_far() > self._kills
        why = "the system ended it because memory ran out" if sure else "probably because memory ran out"
        held = f"it held up to {self.held_mib:,.0f} MiB" if self.held_mib else "it had just begun"
        return f"{why}; {held}, and {self.free_mib:,.0f} MiB were free at the least"


def _kills_so_far() -> int:
    """Processes that the kernel ended for lack of memory since the machine started."""
    return int(_field(Path("/proc/vmstat"), "oom_kill"))


def _field(file: Path, name: str) -> float:
    """The number after `name` in a file of /proc; 0 where there is none."""
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            words = line.replace(":", " ").split()
            if words[:1] == [name]:
                return float(words[1])
    except (OSError, ValueError, IndexError):
        pass
    return 0.0


def _group_files() -> list[tuple[Path, Path]]:
    """(Limit, use) of the control groups that this process is in."""
    root = Path("/sys/fs/cgroup")
    found = [(root / "memory.max", root / "memory.current")]
    found.append((root / "memory/memory.limit_in_bytes", root / "memory/memory.usage_in_bytes"))
    try:
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            number, _, place = line.split(":", 2)
            if number == "0":
                group = root / place.lstrip("/")
                found.append((group / "memory.max", group / "memory.current"))
    except (OSError, ValueError):
        pass
    return found
