"""Worlds in which a model is exactly at its margin: how often the gate passes it, and how often an equal one.

A world draws test rows, a baseline and a shared model whose macro-F1 is truly lower by the margin. Where the
loss sits is what differs: on all labels, on one of a few rows, on labels that are no longer answered. Rows
may come in groups that are alike. Passing such a model is the gate's error, nominally 5%. Knows arrays only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from expectations.stats.bootstrap import Draws, compare_cells
from expectations.stats.paired import paired_difference

CONFIDENCE = 0.95
Floats = NDArray[np.float64]
Cells = NDArray[np.int8]
How = Literal["missed", "claimed"]
Draw = Callable[[np.random.Generator], tuple[Cells, Cells, Cells]]
"""Targets, answers of the shared model, answers of the baseline, each `(N, L)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the answers of two models on test rows are drawn from."""

    name: str
    rows: int
    prevalence: tuple[float, ...]
    """How often each label applies; multiclass: shares that add up to 1."""
    margin: float
    """How much macro-F1 the shared model truly loses, unless `equal`."""
    lost: tuple[int, ...] = ()
    """Labels that carry the loss; none: all of them."""
    how: How = "missed"
    """Whether it misses rows of them or claims others."""
    multiclass: bool = False
    hit: float = 0.7
    """Share of a label's rows that the baseline finds."""
    claimed: float = 0.1
    """Rows that it claims wrongly, by the number of the label's rows."""
    redrawn: float = 0.1
    """Share of the cells (multiclass: rows) that the models answer independently of each other."""
    group_rows: int = 1
    """Rows of a group, all alike."""
    equal: bool = False
    """Whether the shared model is as good as the baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """Shares of samples that pass."""

    now: float
    spread: float
    """By the bootstrap's widened bounds alone, which know neither rare labels nor groups."""


def macro_passes(world: World, samples: int, resamples: int, seed: int = 0) -> Passed:
    """How often the shared model of a world passes by macro-F1."""
    rng = np.random.default_rng(sum(map(ord, world.name)) + seed)
    groups = None if world.group_rows == 1 else np.arange(world.rows) // world.group_rows
    draw = _multiclass(world) if world.multiclass else _multilabel(world)
    passed = np.zeros(2)
    for sample in range(samples):
        cells = draw(rng)
        found = [
            compare_cells(
                *cells,
                average="macro",
                confidence=CONFIDENCE,
                draws=Draws(resamples=resamples, seed=seed + sample, groups=grouped),
            )
            for grouped in ([groups] if groups is None else [groups, None])
        ]
        spread = found[-1].spread
        assert spread is not None
        passed += (found[0].difference.lower > -world.margin, spread.lower > -world.margin)
    return Passed(now=float(passed[0] / samples), spread=float(passed[1] / samples))


def accuracy_passes(
    rows: int, group_rows: int, margin: float, samples: int, *, equal: bool = False
) -> Passed:
    """The same by accuracy: in 5% of the groups only the shared model is right, in 5% and the margin only the
    baseline."""
    rng = np.random.default_rng(rows + group_rows)
    loss = 0.0 if equal else margin
    groups = np.arange(rows) // group_rows
    passed = np.zeros(2)
    for _ in range(samples):
        drawn = rng.choice([1, -1, 0], p=[0.05, 0.05 + loss, 0.9 - loss], size=rows // group_rows)
        apart = np.repeat(drawn, group_rows)
        for at, known in enumerate((groups, None)):
            passed[at] += paired_difference(apart >= 0, apart <= 0, CONFIDENCE, known).lower > -margin
    return Passed(now=float(passed[0] / samples), spread=float(passed[1] / samples))


def never_answered(world: World) -> World:
    """The world whose shared model no longer answers the labels `lost`; its margin is what that costs."""
    chances = _Chances(world)
    return replace(world, margin=-chances.difference(1.0))


class _Chances:
    """Rates of a multilabel world, each `(L,)`."""

    def __init__(self, world: World) -> None:
        self.prevalence = np.array(world.prevalence)
        self.false = np.minimum(0.3, world.claimed * self.prevalence / (1 - self.prevalence))
        self.hit, self.how = world.hit, world.how
        self.carries = np.zeros(self.prevalence.size)
        self.carries[list(world.lost) or slice(None)] = 1.0

    def f1(self, hit: Floats, false: Floats) -> Floats:
        true = self.prevalence
        return np.asarray(2 * true * hit / (true * hit + (1 - true) * false + true))

    def worse(self, share: float) -> tuple[Floats, Floats]:
        """Hits lost and claims added, at a `share` of the most that is looked at."""
        nothing = np.zeros(self.prevalence.size)
        if self.how == "missed":
            return share * self.hit * self.carries, nothing
        return nothing, share * 20 * self.prevalence * self.carries

    def difference(self, share: float) -> float:
        missed, claimed = self.worse(share)
        hit = np.full(self.prevalence.size, self.hit)
        return float((self.f1(hit - missed, self.false + claimed) - self.f1(hit, self.false)).mean())


def _multilabel(world: World) -> Draw:
    chances = _Chances(world)
    share = 0.0
    if not world.equal:
        share = _solved(chances.difference, world)
    missed, claimed = chances.worse(share)
    shape = (world.rows // world.group_rows, chances.prevalence.size)

    def draw(rng: np.random.Generator) -> tuple[Cells, Cells, Cells]:
        true = rng.random(shape) < chances.prevalence
        rate = np.where(true, chances.hit, chances.false)
        baseline = rng.random(shape) < rate
        shared = np.where(rng.random(shape) < world.redrawn, rng.random(shape) < rate, baseline)
        shared &= ~(true & (rng.random(shape) < missed / chances.hit))
        shared |= ~true & (rng.random(shape) < claimed)
        return _cells(true, world), _cells(shared, world), _cells(baseline, world)

    return draw


def _multiclass(world: World) -> Draw:
    prevalence = np.array(world.prevalence)
    labels = prevalence.size
    carries = np.zeros(labels)
    carries[list(world.lost) or slice(None)] = 1.0

    def f1(hits: Floats) -> Floats:
        elsewhere = prevalence * (1 - hits) / (labels - 1)
        answered = prevalence * hits + elsewhere.sum() - elsewhere
        return np.asarray(2 * prevalence * hits / (prevalence + answered))

    def difference(share: float) -> float:
        hits = np.full(labels, world.hit)
        return float((f1(hits * (1 - share * carries)) - f1(hits)).mean())

    gone = carries * (0.0 if world.equal else _solved(difference, world))

    def draw(rng: np.random.Generator) -> tuple[Cells, Cells, Cells]:
        n = world.rows // world.group_rows
        true = rng.choice(labels, p=prevalence, size=n)

        def answers() -> NDArray[np.int64]:
            other = (true + rng.integers(1, labels, size=n)) % labels
            return np.where(rng.random(n) < world.hit, true, other)

        baseline = answers()
        shared = np.where(rng.random(n) < world.redrawn, answers(), baseline)
        away = (shared == true) & (rng.random(n) < gone[true])
        shared = np.where(away, (true + rng.integers(1, labels, size=n)) % labels, shared)
        every = np.arange(labels)
        targets, answered, alone = (_cells(one[:, None] == every, world) for one in (true, shared, baseline))
        return targets, answered, alone

    return draw


def _solved(difference: Callable[[float], float], world: World) -> float:
    """The share at which the world's labels lose the margin."""
    if difference(1.0) > -world.margin + 1e-12:
        raise ValueError(
            f"{world.name}: its labels cannot lose {world.margin}, {-difference(1.0):.3f} at most"
        )
    if abs(difference(1.0) + world.margin) <= 1e-12:
        return 1.0
    return float(brentq(lambda share: difference(share) + world.margin, 0.0, 1.0))


def _cells(values: NDArray[np.bool_], world: World) -> Cells:
    return np.repeat(values, world.group_rows, axis=0).astype(np.int8)
