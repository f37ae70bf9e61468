"""The rows of a split as a training takes them: tokens, weights, targets, teachers' logits.

Does not know the network. Axes: N rows, L_h labels of head h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..rows import SplitRows, Targets
from ..spec import UNLABELLED, FitJob, HeadSpec
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


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a training learns from and is measured on."""

    train: TrainingRows
    validation: TrainingRows
    pad_id: int
    """Token id for padding."""


def all_rows(part: SplitRows, tokens: Tokens) -> TrainingRows:
    """Every row of a split, without teachers."""
    return TrainingRows(tokens, np.arange(part.count), part.weights, part.targets)


def rows_to_learn(part: SplitRows, tokens: Tokens, job: FitJob) -> TrainingRows:
    """The training rows of a job, with its teachers: all rows, or those that one of its heads labels.

    Raises:
        BadInput: a teacher's file cannot be read, or does not fit the rows.
    """
    keep = np.ones(part.count, bool)
    if job.labelled_only:
        keep = np.logical_or.reduce([part.labelled(name) for name in job.heads])
    teachers = {name: _teacher(Path(file), part, name, job) for name, file in job.teachers.items()}
    numbers = np.flatnonzero(keep)
    if len(numbers) == part.count:
        return replace(all_rows(part, tokens), teachers=teachers)
    return TrainingRows(
        tokens=tokens.of(numbers),
        numbers=numbers,
        weights=part.weights[numbers],
        targets={name: target[numbers] for name, target in part.targets.items()},
        teachers={name: logits[numbers] for name, logits in teachers.items()},
    )


def check_labelled(heads: Mapping[str, HeadSpec], train: TrainingRows, validation: TrainingRows) -> None:
    """Each head needs a labelled row in both splits.

    Raises:
        BadInput: some have none; all are named.
    """
    problems = [
        f"head {name!r}: no labelled row in the split {split!r}"
        for split, part in (("train", train), ("validation", validation))
        for name in heads
        if not (part.targets[name] != UNLABELLED).any()
    ]
    if problems:
        raise BadInput("; ".join(problems))


def _teacher(file: Path, part: SplitRows, head: str, job: FitJob) -> NDArray[np.float32]:
    shape = (part.count, len(job.heads[head].labels))
    try:
        logits: NDArray[np.float32] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"teachers.{head}: {file} cannot be read: {error}") from error
    if logits.shape != shape or logits.dtype != np.float32:
        raise BadInput(f"teachers.{head}: seen {logits.dtype} {logits.shape}, expected float32 {shape}")
    if not np.isfinite(logits).all():
        raise BadInput(f"teachers.{head}: {file} holds logits that are not finite; teach again")
    return logits
