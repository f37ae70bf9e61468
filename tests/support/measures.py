"""Figures with goals, and the tables that show them: what every benchmark and campaign reports."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

WIDTH = 100
"""Most columns of a table."""
NARROWEST = 6
"""Characters below which no column is cut."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should reach."""

    bound: Literal["at most", "at least"]
    value: float
    """In the unit of the figure."""

    def met_by(self, figure: float | None) -> bool:
        """Whether the figure reaches the goal; one that is missing or not finite does not."""
        if figure is None or not math.isfinite(figure):
            return False
        return figure <= self.value if self.bound == "at most" else figure >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.bound == 'at most' else '≥'} {self.value:g}"


def at_most(value: float) -> Goal:
    """The figure should not be larger."""
    return Goal("at most", value)


def at_least(value: float) -> Goal:
    """The figure should not be smaller."""
    return Goal("at least", value)


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure."""

    name: str
    """What was measured, with the load: `merge and validate, 1,000,000 rows`."""
    value: float | None
    """None where it could not be measured."""
    unit: str = ""
    goal: Goal | None = None
    """None: the figure is there for comparison."""
    undecided: str = ""
    """Why this run cannot decide the goal or measure the figure; empty: it can."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal, and where this run cannot decide."""
        return None if self.goal is None or self.undecided else self.goal.met_by(self.value)

    @property
    def failed(self) -> bool:
        """Whether the goal is missed, or a figure is missing without a reason."""
        return self.met is False or (self.to_json()["value"] is None and not self.undecided)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; a value that is not finite becomes null, since JSON cannot hold it."""
        finite = self.value is not None and math.isfinite(self.value)
        raw = {
            "name": self.name,
            "value": self.value if finite else None,
            "unit": self.unit,
            "goal": None if self.goal is None else str(self.goal),
            "met": self.met,
        }
        return raw | ({"reason": self.undecided} if self.undecided else {})


def undecided(measures: Iterable[Measure], reason: str, but: Collection[str] = ()) -> Iterator[Measure]:
    """The measures, with `reason` on each that has a goal and is not named by `but`."""
    for measure in measures:
        open_goal = measure.goal is not None and measure.name not in but
        yield replace(measure, undecided=reason) if open_goal else measure


def all_met(measures: Sequence[Measure]) -> bool | None:
    """Whether every goal is met; None where no goal was decided. A report without measures is not met, nor
    is one with a figure that is missing without a reason."""
    if not measures or any(measure.failed for measure in measures):
        return False
    return True if any(measure.met for measure in measures) else None


def measure_table(measures: Sequence[Measure]) -> str:
    """Measure, value, unit, goal, and whether it is met; below, why goals are undecided."""
    rows = [("measure", "value", "unit", "goal", "met")]
    for measure in measures:
        met = {None: "undecided" if measure.undecided else "", True: "yes", False: "NO"}[measure.met]
        goal = "" if measure.goal is None else str(measure.goal)
        rows.append((measure.name, shown(measure.value), measure.unit, goal, met))
    reasons = dict.fromkeys(measure.undecided for measure in measures if measure.undecided)
    return "\n".join([aligned(rows, right=(1,)), *(textwrap.fill(f"undecided: {r}", WIDTH) for r in reasons)])


def aligned(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> str:
    """Columns of text below a rule; the first row is the head. No line is longer than `WIDTH`: the widest
    columns are wrapped.

    Args:
        rows: as many cells each.
        right: columns that are aligned to the right.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    lines = [line for row in rows[:1] for line in _wrapped(row, widths, right)]
    lines.append("  ".join("-" * width for width in widths))
    return "\n".join([*lines, *(line for row in rows[1:] for line in _wrapped(row, widths, right))])


def _wrapped(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> Iterator[str]:
    parts = [textwrap.wrap(cell, max(width, 1)) or [""] for cell, width in zip(row, widths, strict=True)]
    for line in range(max(map(len, parts))):
        cells = [part[line] if line < len(part) else "" for part in parts]
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        yield "  ".join(padded).rstrip()


def shown(value: float | None) -> str:
    """A figure with about four significant digits (counts whole), thousands set apart."""
    if isinstance(value, int):
        return f"{value:,}"
    if value is None or not math.isfinite(value):
        return "missing" if value is None else str(value)
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"


def mean_with_interval(values: Sequence[float]) -> str:
    """Mean and half-width of its 95% interval (Student's t), `+0.0100 ± 0.0200`; of one value only itself."""
    import numpy as np
    from scipy import stats

    array = np.asarray(values, float)
    mean = f"{array.mean():+.4f}"
    if len(array) < 2:
        return mean
    half = stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array))
    return f"{mean} ± {half:.4f}"
