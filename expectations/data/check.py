"""What is asked of the data and what came of it: a check and its result.

Knows names and numbers only: not which checks are made (`expectations.data.rules`, `.suite`), nor how one is
evaluated (`expectations.data.gx.evaluate`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from expectations.spec import Severity
from expectations.verdict import Figures, Finding

TableName = Literal[
    "observations", "labels", "figures", "dataset", "rows", "custom_dataset", "custom_rows", "custom_answers"
]
"""`observations`: one row an input row. `labels`: one row a head and label. `figures`: one row, one column
a figure. For custom expectations `dataset`, one row a text, and `rows`, one row an input row; what custom
functions return for these stands in `custom_dataset` and `custom_rows`, one column a function, and in
`custom_answers` where it is one answer for the whole table."""

Unit = Literal["rows", "labels", "texts", "value", "share", "times", "drift", "answer"]
"""What is counted (`rows`, `labels`, `texts`), or that a check is about one figure: a plain `value`, a
`share`, how many `times` as many as the champion's, a figure of `drift`, or the `answer` of a custom
function for a whole table."""

RuleOutcome = Literal["not met", "could not be evaluated", "tolerated", "met", "not looked at"]
"""What came of a check, the worst first. `tolerated`: some elements break it, within its tolerance, or a
figure has passed its warning level only."""

VALUES_IN_SET = "expect_column_values_to_be_in_set"
VALUES_BETWEEN = "expect_column_values_to_be_between"
VALUES_NOT_NULL = "expect_column_values_to_not_be_null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation, and what its outcome means."""

    rule: str
    """Field of `DataRules`, or `extra[0]`."""
    called: str = ""
    """How a custom expectation is called: its type and column. Empty: by its rule, head and split."""
    expected: str
    """What is expected, for people."""
    severity: Severity
    tolerance: float
    """Share of elements that may break it."""
    table: TableName
    type: str
    """Name of the Great Expectations expectation."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    head: str | None = None
    split: str | None = None
    unit: Unit = "rows"
    value_unit: str = ""
    """Unit of the cell that is shown of an offending row; empty: the cell is not shown."""
    shows_value: bool = False
    """Whether the sentence shows the value of its example: a label."""
    figure: str = ""
    """What a figure of drift is called."""
    warn_above: float | None = None
    """For a figure: the value from which it is named although it is within its bound; 0 itself is fine."""
    warn_below: float | None = None
    """For a figure: the value below which it is named although it is within its bound."""
    advice: str = ""
    """What to do, where the rule has no words of its own."""
    problem: str | None = None
    """Why it cannot be evaluated at all: the configuration is wrong."""
    skipped: str | None = None
    """Why it is not looked at; it then counts neither for nor against."""

    @property
    def column(self) -> str | None:
        """The one column it looks at, if it is that kind of check."""
        column = self.kwargs.get("column")
        return column if isinstance(column, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many cells of a column break a check."""

    cells: int
    """All of them."""
    missing: int
    """Of these, cells that it does not apply to."""
    rows: NDArray[np.int64]
    """(count,): where those stand that break it."""

    @property
    def elements(self) -> int:
        """Cells that it applies to."""
        return self.cells - self.missing

    @property
    def holds(self) -> float | None:
        """Share of the cells that do not break it; none where it applies to none."""
        return (float(self.elements) - float(self.rows.size)) / self.elements if self.elements else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What came of one check."""

    check: Check
    outcome: RuleOutcome
    reason: str = ""
    """One sentence that stands by itself (`expectations.data.reasons`); of the data's values only labels."""
    count: int | None = None
    """Elements that break it; none where it is about one figure."""
    elements: int | None = None
    """Elements that it applies to (nulls left out)."""
    observed: float | None = None
    """Share of elements that break it, or the figure that was judged."""
    rows: NDArray[np.int64] | None = None
    """(count,): rows of the check's table that break it; none where they are not known."""

    @property
    def subject(self) -> str:
        """`labels_known[intent]`, `coverage[intent, test]`, `text_present`, or how a custom one is called."""
        if self.check.called:
            return self.check.called
        about = ", ".join(part for part in (self.check.head, self.check.split) if part)
        return f"{self.check.rule}[{about}]" if about else self.check.rule

    @property
    def looked_at(self) -> bool:
        """Whether it counts: a skipped check counts neither for nor against."""
        return self.outcome != "not looked at"

    @property
    def stops(self) -> bool:
        """Whether this result alone stops the run."""
        return self.check.severity == "critical" and self.outcome in ("not met", "could not be evaluated")

    def finding(self) -> Finding:
        """A finding fails only where the rule is critical; what came of others stands in its figures."""
        figures: Figures = {"count": self.count, "elements": self.elements, "observed": self.observed}
        how: Figures = {
            "tolerance": self.check.tolerance,
            "severity": self.check.severity,
            "seen": self.outcome,
        }
        return Finding(
            subject=self.subject,
            outcome="fail" if self.stops else "pass",
            reason=self.reason,
            figures={**figures, **how},
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, without the rows."""
        check = self.check
        return {
            **{"rule": check.rule, "head": check.head, "split": check.split, "severity": check.severity},
            **{"outcome": self.outcome, "count": self.count, "elements": self.elements},
            **{"observed": self.observed, "tolerance": check.tolerance},
            **{"expected": check.expected, "reason": self.reason},
        }
