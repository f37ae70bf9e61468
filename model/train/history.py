"""The course of a training: losses and metrics, as they are logged and written to `history.json`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass(slots=True)
class History:
    """Points of the loss curve, epochs, and the time spent."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    """{"step", "epoch", "loss", "heads": {head: loss}, "learning_rate"}, means since the point before."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """{"epoch", "step", "loss", "metrics": {head: value}, "mean"}, on validation rows."""
    seconds: float = 0.0
    """Wall time of the training steps, without evaluation; resumed parts included."""
    cpu_seconds: float = 0.0
    """Processor time of all threads in the training steps: comparable on a busy machine too."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> History:
        """What `state` gave."""
        return cls(state["steps"], state["epochs"], float(state["seconds"]), float(state["cpu_seconds"]))

    def state(self) -> dict[str, Any]:
        """All of it as JSON, for a checkpoint."""
        return asdict(self)

    @property
    def means(self) -> list[float]:
        """Mean of the heads' primary metrics after each epoch."""
        return [float(epoch["mean"]) for epoch in self.epochs]

    @property
    def best_epoch(self) -> int:
        """The epoch (from 1) with the best mean, the first among equals."""
        return int(np.argmax(self.means)) + 1

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Adds the time of the block."""
        started_s, cpu_started_s = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - started_s
        self.cpu_seconds += time.process_time() - cpu_started_s

    def add_point(self, step: int, epoch: int, losses: Mapping[str, float], learning_rate: float) -> float:
        """Add a point of the loss curve, after `step` steps, in an epoch (from 1); the sum of the losses."""
        loss = sum(losses.values())
        point = {"step": step, "epoch": epoch, "loss": loss, "heads": dict(losses)}
        self.steps.append({**point, "learning_rate": learning_rate})
        return loss

    def add_epoch(self, step: int, epoch: int, metrics: Mapping[str, float]) -> dict[str, Any]:
        """Add an epoch (from 1) with each head's metric, and return it as it is written."""
        losses = [point["loss"] for point in self.steps if point["epoch"] == epoch]
        self.epochs.append(
            {
                "epoch": epoch,
                "step": step,
                "loss": float(np.mean(losses)) if losses else None,
                "metrics": dict(metrics),
                "mean": float(np.mean(list(metrics.values()))),
            }
        )
        return self.epochs[-1]
