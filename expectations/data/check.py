"""One check: a Great Expectations expectation by name, and what its outcome means.

Knows names and numbers only: not which checks are made (`expectations.data.suite`), nor how one is evaluated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from expectations.spec import Rule, Severity

TableName = Literal[
    "observations", "labels", "figures", "dataset", "rows", "own_dataset", "own_rows", "own_answers"
]
"""`observations`: one row an input row. `labels`: one row a head and label. `figures`: one row, one column
a figure. For the user's own expectations `dataset`, one row a text, and `rows`, one row an input row; what
the user's own functions say of these stands in `own_dataset` and `own_rows`, one column a function, and in
`own_answers` where it is one answer for the whole table."""

VALUES_IN_SET = "expect_column_values_to_be_in_set"
VALUES_BETWEEN = "expect_column_values_to_be_between"
VALUES_NOT_NULL = "expect_column_values_to_not_be_null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation, and what its outcome means."""

    rule: str
    """Field of `DataRules`, or `extra[0]`."""
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
    unit: str = "rows"
    """What is counted: `rows`, `labels`, `texts`, `value` for a figure by itself, or `answer` for a yes or
    no of the user's own function."""
    warn_above: float | None = None
    """For a figure: the value from which it is named although it is within its bound; 0 itself is fine."""
    problem: str | None = None
    """Why it cannot be evaluated at all: the configuration of an extra expectation is wrong."""
    skipped: str | None = None
    """Why it is not looked at; it then counts neither for nor against."""

    @property
    def column(self) -> str | None:
        """The one column it looks at, if it is that kind of check."""
        column = self.kwargs.get("column")
        return column if isinstance(column, str) else None


def row_check(
    rule_name: str, rule: Rule, type_: str, expected: str, table: TableName = "observations", **more: Any
) -> Check:
    """A check of many elements, of which the rule's tolerance may break it."""
    kwargs = {**more.pop("kwargs"), "mostly": 1.0 - rule.tolerance}
    return Check(
        rule=rule_name,
        severity=rule.severity,
        tolerance=rule.tolerance,
        type=type_,
        expected=expected,
        table=table,
        kwargs=kwargs,
        **more,
    )


def figure_check(
    rule_name: str, rule: Rule, column: str, expected: str, present: Collection[str], absent: str, **more: Any
) -> Check:
    """A check of one figure between `low` and `high`; skipped with the reason `absent` where the figure is
    not there."""
    bounds = {"min_value": more.pop("low", None), "max_value": more.pop("high", None)}
    return Check(
        rule=rule_name,
        severity=rule.severity,
        tolerance=rule.tolerance,
        type=VALUES_BETWEEN,
        expected=expected,
        table="figures",
        kwargs={"column": column, **{name: bound for name, bound in bounds.items() if bound is not None}},
        unit="value",
        skipped=None if column in present else absent,
        **more,
    )


def is_true(column: str) -> dict[str, Any]:
    """Arguments of an expectation that every cell is true."""
    return {"column": column, "value_set": [True]}


def is_false(column: str) -> dict[str, Any]:
    """Arguments of an expectation that every cell is false."""
    return {"column": column, "value_set": [False]}
