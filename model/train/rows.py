"""What a training takes in and what it remembers: the rows of a split, and the history.

Plain data; does not know the network or the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rows import Targets
from .tokens import Tokens


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The rows of a split, ready for the network."""

    tokens: Tokens
    """Of the N rows."""
    numbers: NDArray[np.int64]
    """(N,) row number of each in the rows folder, from 0: what an error message names."""
    weights: NDArray[np.float32]
    """(N,)."""
    targets: Mapping[str, Targets]
    """Head → (N,) or (N, L_h)."""
    teachers: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Head → teacher logits (N, L_h), where there is a teacher."""


@dataclass(slots=True)
class History:
    """What happened, as it is written to `history.json`."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    """{"step", "epoch", "loss", "heads": {head: loss}, "learning_rate"}, means since the point before."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """{"epoch", "step", "loss", "metrics": {head: value}, "mean"}, on validation rows."""
    seconds: float = 0.0
    """Time spent in training steps, evaluation left out; resumed parts included."""
    cpu_seconds: float = 0.0
    """The same in time of all this process's threads: what a busy machine leaves comparable."""
