"""Before anything is trained: what chance an equally good model has to pass, head by head.

A run that trains for hours and ends inconclusive for want of test rows could have been told so. Knows the
profile of the data, the heads and the rules of the gates; does not know how the figures are shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expectations.spec import GateRules
from expectations.stats.chance import (
    DISAGREEING,
    Chance,
    chance,
    disagreeing_labels,
    lower_bounds_of_labels,
    lower_bounds_of_rows,
)
from expectations.stats.paired import all_alike
from model.bundle.card import MetricName
from model.spec import HeadSpec

LOW = 0.5
"""Chance below which a head is worth a warning: more likely than not its verdict would be inconclusive."""
NEAR = 0.03
"""How far the margin that so many rows certify may be off the one asked for, as a share of it."""
MOST_GUESSES = 4
"""Guesses of how many rows a margin needs; each costs as much as the chance itself."""
MOST_TIMES = 2.0**12
"""Most times the rows at hand that are guessed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadChance:
    """What a head's test rows can decide."""

    head: str
    metric: MetricName
    rows: int
    """Labelled test rows."""
    margin: float
    passes: float | None
    """Chance, 0 to 1, that an equally good model passes the margin; None without test rows."""
    power: float
    power_margin: float | None
    """Margin that it would pass with chance `power`."""
    disagreeing: float
    """Share of the rows (macro-F1, micro-F1: of a label's rows) that only one of the two is taken to have
    right."""
    from_champion: bool
    """Whether that is the champion's own figure; else it is what other projects measured."""
    fewest: tuple[str, int]
    """The label with the fewest test rows, and how many."""
    needed: int | None = None
    """About how many labelled test rows pass the margin with chance `power`, if labels are as frequent among
    them as now; None where those at hand do, or none is labelled."""

    @property
    def low(self) -> bool:
        """Whether the test rows are too few to expect a pass."""
        return self.passes is None or self.passes < LOW

    @property
    def line(self) -> str:
        """For a terminal of 80 columns."""
        if self.passes is None or self.power_margin is None:
            return f"{self.head[:40]}: no test rows, so nothing can pass"
        return (
            f"{self.head[:24]}: {self.passes:.0%} to pass -{self.margin:g} if equally good; "
            f"{self.power:.0%} at -{self.power_margin:.3f}"
        )

    @property
    def warning(self) -> str:
        """A sentence with what to do."""
        if self.passes is None or self.power_margin is None:
            return f"{self.head}: no test row is labelled, so the gate cannot pass; label some"
        label, rows = self.fewest
        origin = "as the champion did" if self.from_champion else "as measured on other projects"
        few = f"; `{label}` has {rows:,}" if self.metric == "macro_f1" else ""
        return (
            f"{self.head}: with {self.rows:,} test rows{few} an equally good model passes the margin "
            f"-{self.margin:g} with a chance of {self.passes:.0%}; {self.power:.0%} needs -"
            f"{self.power_margin:.3f} or{self._needs} (if the models disagree on {self.disagreeing:.0%} of "
            f"the rows, {origin})"
        )

    @property
    def _needs(self) -> str:
        return " more test rows" if self.needed is None else f" about {self.needed:,} test rows"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"low": self.low, "line": self.line, "warning": self.warning}


def head_chances(
    profile: Mapping[str, Any],
    heads: Mapping[str, HeadSpec],
    rules: GateRules,
    *,
    groups: NDArray[np.integer[Any]] | None = None,
    champion: Mapping[str, Any] | None = None,
) -> list[HeadChance]:
    """One for each head, against its baseline.

    Args:
        profile: `profile.json` of the dataset.
        groups: (N,) of the test rows; None where rows stand alone.
        champion: the verdict (JSON) of the version that serves, for how often its models disagreed.
    """
    found = dict(_standard_errors(champion or {}))
    alone = 1.0 if groups is None else 1.0 / all_alike(groups)
    return [
        _chance(
            name,
            head,
            ((profile.get("heads") or {}).get(name) or {}).get("splits", {}).get("test", {}),
            rules,
            alone,
            found.get(name),
        )
        for name, head in heads.items()
    ]


def chance_figures(chances: Sequence[HeadChance]) -> tuple[dict[str, float], dict[str, str]]:
    """(Figures, end of the sentence about each): `test_rows_decide:HEAD`, the chance that an equally good
    model passes its margin; 0 without test rows."""
    figures = {f"test_rows_decide:{one.head}": one.passes or 0.0 for one in chances}
    return figures, {f"test_rows_decide:{one.head}": f": {one.warning}" for one in chances}


def _standard_errors(verdict: Mapping[str, Any]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Head → its standard error against its baseline and the rows behind it."""
    for finding in verdict.get("findings") or ():
        figures = finding.get("figures") or {}
        error, rows = figures.get("standard_error"), figures.get("n")
        if isinstance(error, float) and isinstance(rows, int) and error > 0 and rows > 0:
            yield str(finding.get("subject", "")), (error, rows)


def _chance(
    name: str,
    head: HeadSpec,
    test: Mapping[str, Any],
    rules: GateRules,
    alone: float,
    seen: tuple[float, float] | None,
) -> HeadChance:
    counted = test.get("counts") or {}
    labels = head.labels or tuple(counted)
    counts = np.array([int(counted.get(label, 0)) for label in labels], dtype=np.float64)
    rows = int(test.get("labelled") or 0)
    margin = rules.margins.get(name, rules.margin)
    metric = head.primary_metric
    share, of_champion = DISAGREEING, seen is not None
    decided, needed = None, None
    if rows and counts.size:
        of_rows = metric == "subset_accuracy" or (metric == "accuracy" and head.kind == "multiclass")
        cells = metric == "accuracy" and not of_rows
        label_rows = np.array([counts.sum()]) if metric == "micro_f1" else counts
        if seen is not None:
            squared = seen[0] ** 2 * seen[1] / rows  # what the error would be with the rows at hand
            if of_rows or cells:
                share = min(0.9, squared * rows * alone * (counts.size**2 if cells else 1))
            else:
                share = disagreeing_labels(squared, label_rows * alone)

        def with_times(times: float) -> Chance:
            worth = alone * times
            if of_rows or cells:
                lower = lower_bounds_of_rows(rows * worth, rules.confidence, share)
                lower = lower / counts.size if cells else lower
            else:
                lower = lower_bounds_of_labels(label_rows * worth, rows * worth, rules.confidence, share)
            return chance(lower, margin, rules.power)

        decided = with_times(1.0)
        if decided.margin > margin:
            needed = _needed(rows, decided, margin, with_times)
    at = int(counts.argmin()) if counts.size else 0
    return HeadChance(
        head=name,
        metric=metric,
        rows=rows,
        margin=margin,
        passes=decided.passes if decided else None,
        power=rules.power,
        power_margin=decided.margin if decided else None,
        disagreeing=share,
        from_champion=of_champion,
        fewest=(labels[at], int(counts[at])) if counts.size else ("", 0),
        needed=needed,
    )


def _needed(rows: int, now: Chance, margin: float, with_times: Callable[[float], Chance]) -> int | None:
    """About how many rows pass the margin with the power asked for; None where no number that was tried does.

    A margin falls about with the root of the rows, so each guess is made of the one before.

    Args:
        with_times: the chance with so many times the `rows`.
    """
    times, certified = 1.0, now.margin
    for _ in range(MOST_GUESSES):
        times *= (certified / margin) ** 2
        if times > MOST_TIMES:
            return None
        certified = with_times(times).margin
        if abs(certified / margin - 1) < NEAR:
            break
    return _round_up(rows * times)


def _round_up(rows: float) -> int:
    """To two significant digits: more would claim too much."""
    step = 10 ** max(0, math.floor(math.log10(rows)) - 1)
    return math.ceil(rows / step) * step
