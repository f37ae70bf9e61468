"""What every benchmark reports, in one form: a table to read, then one line of JSON to keep.

    {"benchmark": …, "measures": [{"name", "value", "unit", "goal", "met"}], "machine": {…}}

The exit status is 0 when every goal is met and 1 when one is not. A figure that is missing or not finite
never meets a goal, and a benchmark without figures has failed.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TextIO

from tests.support.machine import one_line


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
    """One figure of a benchmark."""

    name: str
    """What was measured, with the load: `merge and validate, 1,000,000 rows`."""
    value: float | None
    """None where it could not be measured."""
    unit: str
    goal: Goal | None = None
    """None: the figure is only told, for comparison."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        return None if self.goal is None else self.goal.met_by(self.value)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; a value that is not finite becomes null, since JSON has no word for it."""
        finite = self.value is not None and math.isfinite(self.value)
        raw = asdict(self) | {"value": self.value if finite else None, "met": self.met}
        return raw | {"goal": None if self.goal is None else str(self.goal)}


def report(
    benchmark: str,
    measures: Sequence[Measure],
    machine: dict[str, Any],
    *,
    tables: str | None = None,
    out: TextIO | None = None,
) -> int:
    """Print the table and, as the last line, the JSON object; returns the exit status.

    `tables` is printed instead of the list of measures where these read better in another shape.
    """
    stream = out or sys.stdout
    print(table(measures) if tables is None else tables, file=stream)
    print(f"machine: {one_line(machine)}", file=stream)
    body = {
        "benchmark": benchmark,
        "measures": [measure.to_json() for measure in measures],
        "machine": machine,
    }
    print(json.dumps(body, ensure_ascii=False, allow_nan=False), file=stream, flush=True)
    return exit_status(measures)


def exit_status(measures: Sequence[Measure]) -> int:
    """0 when there are figures and every goal is met, else 1. Figures without a goal must still be there."""
    reached = [
        measure.met if measure.goal is not None else measure.to_json()["value"] is not None
        for measure in measures
    ]
    return 0 if reached and all(reached) else 1


def table(measures: Sequence[Measure]) -> str:
    """Aligned columns: measure, value, unit, goal, whether it is met."""
    rows = [("measure", "value", "unit", "goal", "met")]
    for measure in measures:
        met = {None: "", True: "yes", False: "NO"}[measure.met]
        goal = "" if measure.goal is None else str(measure.goal)
        rows.append((measure.name, shown(measure.value), measure.unit, goal, met))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), row[1].rjust(widths[1])]
        cells += [cell.ljust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns of text, each as wide as its widest cell; the first line is the head."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def shown(value: float | None) -> str:
    """A figure with about four significant digits (counts whole), thousands set apart."""
    if isinstance(value, int):
        return f"{value:,}"
    if value is None or not math.isfinite(value):
        return "missing" if value is None else str(value)
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
