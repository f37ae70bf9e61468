"""What rare labels can hide: how far macro-F1 may have moved on labels with too few rows to show it.

A mean over labels gives a label of two rows as much weight as one of two hundred. A bootstrap only knows the
losses that were seen. Where a whole loss sits on one label of 2 rows, none of it was seen in 38% of simulated
samples of 400 rows, and the bootstrap's bound passed as often (decision 0034, `benchmarks.coverage`).

So the share of a label's rows that one model alone finds gets an exact bound (Clopper & Pearson 1934,
Biometrika 26, 404–413; with an effective number of rows where they come in groups: Korn & Graubard 1998,
Survey Methodology 24, 193–201). What F1 would lose there joins the distance of the bootstrap's bound by the
squares of both, as bounds of a sum are joined from those of its parts (MOVER: Zou & Donner 2008, Statistics
in Medicine 27, 1693–1702). Every label is tried alone, and the j rarest together for every j: the loss may
sit on any.

An exact bound is wider than needed where many other rows blur its steps. `_exactness` goes from 0, where one
row of the label moves macro-F1 by two thirds of a standard error of the rest or less, to 1. With 0 nothing
changes.

Knows arrays; does not know heads or margins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm, t

Floats = NDArray[np.float64]
Cells = NDArray[np.int8]

FROM, FULL = 0.32, 1.0
"""Share of the variance that one more row of a label would have, from which its bound begins to be the exact
one, and where it is. Chosen by simulation: lower ones cost power where labels have enough rows, higher ones
let more than 6% of models at the margin pass (decision 0034)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts:
    """What is known of L labels on the same rows, each `(L,)`."""

    rows: Floats
    """Rows to which the label truly applies."""
    effective: Floats
    """How many rows drawn alone they are worth: fewer than `rows` where they come in groups."""
    hits: tuple[Floats, Floats]
    """Of those, the rows that the one and the other model find."""
    false: tuple[Floats, Floats]
    """Rows for which each claims the label and it does not apply."""
    alone: tuple[Floats, Floats]
    """True rows that only the one, and only the other model finds."""
    alone_squared: tuple[Floats, Floats]
    """Sum over groups of the squares of the same; without groups the same."""

    @property
    def untested(self) -> NDArray[np.bool_]:
        """`(L,)` labels without a true row: nothing is known of them."""
        return np.asarray(self.rows == 0)

    def swapped(self) -> LabelCounts:
        """The same with the two models in the other order."""
        return LabelCounts(
            rows=self.rows,
            effective=self.effective,
            hits=self.hits[::-1],
            false=self.false[::-1],
            alone=self.alone[::-1],
            alone_squared=self.alone_squared[::-1],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far a bound lies from the estimate."""

    half: float
    labels: tuple[int, ...] = ()
    """Labels whose few rows push it beyond the bootstrap's, the rarest first; none where they do not."""


def count_labels(
    targets: Cells, one: Cells, other: Cells, groups: NDArray[np.integer[Any]] | None = None
) -> LabelCounts:
    """Counts of two models' answers.

    Args:
        targets: `(N, L)`: 1 applies, 0 does not, -1 unknown.
        one: `(N, L)` answers, 1 where the label applies.
        other: `(N, L)` the other model's.
        groups: `(N,)` numbers from 0: rows of one group are no independent draws. None: each stands alone.
    """
    true, first, second = targets == 1, one == 1, other == 1
    wrong = targets == 0

    def total(cells: NDArray[np.bool_]) -> Floats:
        return np.asarray(cells.sum(axis=0), dtype=np.float64)

    def squares(cells: NDArray[np.bool_]) -> Floats:
        if groups is None:
            return total(cells)
        sums = np.zeros((int(groups.max(initial=0)) + 1, cells.shape[1]))
        rows, labels = np.nonzero(cells)
        np.add.at(sums, (groups[rows], labels), 1.0)
        return np.asarray((sums**2).sum(axis=0))

    rows = total(true)
    gained, lost = true & first & ~second, true & second & ~first
    return LabelCounts(
        rows=rows,
        effective=np.divide(rows**2, squares(true), out=np.zeros_like(rows), where=rows > 0),
        hits=(total(true & first), total(true & second)),
        false=(total(wrong & first), total(wrong & second)),
        alone=(total(gained), total(lost)),
        alone_squared=(squares(gained), squares(lost)),
    )


def reach(
    counts: LabelCounts,
    half: float,
    standard_error: float,
    confidence: float,
    *,
    telling: float,
    absent_hide: bool = True,
) -> Reach:
    """How far below the estimate macro-F1(one) - macro-F1(other) may truly lie.

    Args:
        half: distance of the bootstrap's bound.
        standard_error: of the difference by the bootstrap, all labels together.
        telling: how many equally heavy rows would tell the models apart as well as those that do
            (`telling_rows`): what is left of the degrees of freedom where a label's few rows weigh most.
        absent_hide: whether a label without a true row can hide its whole part of the mean, 1 / L.
    """
    tested = ~counts.untested
    labels = counts.rows.size
    unknown = tuple(np.flatnonzero(counts.untested).tolist()) if absent_hide else ()
    hidden = len(unknown) / labels
    if not tested.any():
        return Reach(half=half + hidden, labels=unknown)
    order = np.flatnonzero(tested)[np.argsort(counts.effective[tested], kind="stable")]
    of = _Tested(counts, order, labels)
    z = float(norm.ppf(confidence))
    seen = of.worth**2 * of.lost_squared
    sums = np.cumsum(of.effective)
    alone = _Part(
        hidden=of.loss(_unseen(of.lost, of.effective, confidence)),
        seen=z * np.sqrt(seen),
        exactness=_exactness(of.worth_effective, standard_error**2 - seen),
    )
    together = np.cumsum(seen)
    shares = _unseen(np.cumsum(of.lost), sums, confidence)
    rarest = _Part(
        hidden=np.tril(of.loss(shares[:, None])).sum(axis=1),
        seen=z * np.sqrt(together),
        exactness=_exactness(
            np.cumsum(of.worth_effective * of.effective) / sums, standard_error**2 - together
        ),
    )
    most = max(float(alone.exactness.max()), float(rarest.exactness.max()))
    by_few = float(t.ppf(confidence, max(telling - 1.0, 1.0))) * standard_error
    rest = half + most * max(by_few - half, 0.0)
    one, several = alone.joined(rest), rarest.joined(rest)
    widest = max(float(one.max()), float(several.max()))
    if widest <= half * (1 + 1e-9):
        return Reach(half=half + hidden, labels=unknown)
    if one.max() >= several.max():
        named = (int(order[one.argmax()]),)
    else:
        named = tuple(order[: int(several.argmax()) + 1].tolist())
    return Reach(half=widest + hidden, labels=unknown + named)


def telling_rows(influence: Floats) -> float:
    """How many equally heavy rows are worth rows of these influences `(N,)` on the difference: the degrees of
    freedom of a variance that few of them carry (Satterthwaite 1946, Biometrics Bulletin 2, 110–114)."""
    squares, fourth = float((influence**2).sum()), float((influence**4).sum())
    return squares**2 / fourth if fourth > 0 else 1.0


def rows_to_show(loss: float, *, hits: float, false: float, confidence: float) -> int:
    """True rows of a label that show that its F1 did not fall by `loss`: with as many and none of them lost,
    the loss is surely smaller.

    Args:
        hits: share of the label's rows that are found.
        false: false claims by the number of its rows.
    """
    after = max(2 * hits / (1 + hits + false) - loss, 0.0)
    share = hits - after * (1 + false) / (2 - after)
    if share >= 1:
        return 1
    return max(1, math.ceil(math.log(1 - confidence) / math.log1p(-max(share, 1e-9))))


@dataclass(frozen=True, slots=True)
class _Part:
    """What labels, or sets of them, have in the bound, each `(K,)`."""

    hidden: Floats
    """By the exact bound."""
    seen: Floats
    """By the bootstrap: z times the standard error of the rows that were lost."""
    exactness: Floats

    def joined(self, half: float) -> Floats:
        """The bootstrap's distance with each one's part of it replaced by the exact one."""
        exact = self.seen + self.exactness * np.maximum(self.hidden - self.seen, 0.0)
        return np.asarray(np.sqrt(exact**2 + np.maximum(half**2 - self.seen**2, 0.0)))


class _Tested:
    """Shares of the labels that have true rows, in the order of their effective rows, each `(K,)`."""

    def __init__(self, counts: LabelCounts, order: NDArray[np.intp], labels: int) -> None:
        rows = counts.rows[order]
        self.labels = labels
        self.effective = counts.effective[order]
        self.hits = counts.hits[0][order] / rows, counts.hits[1][order] / rows
        self.false = counts.false[0][order] / rows, counts.false[1][order] / rows
        self.lost = counts.alone[1][order] / rows * self.effective
        self.lost_squared = counts.alone_squared[1][order]
        slope = 2 * (1 + self.false[0]) / (1 + self.hits[0] + self.false[0]) ** 2 / labels
        self.worth: Floats = slope / rows
        """What macro-F1 loses by one more row that is not found."""
        self.worth_effective: Floats = slope / self.effective

    def loss(self, share: Floats) -> Floats:
        """What macro-F1 loses where a further `share` of a label's rows is found by the other model only.

        First the one model's own hits go, then the other model gains some: F1 is steeper the lower it is.
        """
        (hits, others), (false, other_false) = self.hits, self.false
        fewer = np.minimum(share, hits)
        more = np.minimum(share - fewer, 1 - others)
        own = _f1(hits, false) - _f1(hits - fewer, false)
        return np.asarray((own + _f1(others + more, other_false) - _f1(others, other_false)) / self.labels)


def _f1(hits: Floats, false: Floats) -> Floats:
    """F1 = 2 TP / (true + answered), all by the number of true rows."""
    return np.asarray(2 * hits / (1 + hits + false))


def _unseen(lost: Floats, rows: Floats, confidence: float) -> Floats:
    """By how much the share lost may exceed the one seen: Clopper and Pearson's upper bound less it."""
    kept = np.maximum(rows - lost, 1e-9)
    upper = np.where(rows - lost > 1e-9, beta.ppf(confidence, lost + 1, kept), 1.0)
    return np.maximum(upper - lost / rows, 0.0)


def _exactness(worth: Floats, rest: Floats) -> Floats:
    """0 to 1: how much the steps of a label's few rows stand out from the variance of the rest."""
    share = worth**2 / np.maximum(worth**2 + np.maximum(rest, 0.0), 1e-300)
    return np.clip((share - FROM) / (FULL - FROM), 0.0, 1.0)
