"""Expectations of the user's own, from `extra`: by name, with severity and tolerance.

Pure: what is wrong with an entry is said, never raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from expectations.data.check import VALUES_NOT_NULL, Check
from expectations.spec import Severity

EXTRA_KEYS = ("type", "kwargs", "severity", "tolerance", "table")
"""What an entry of `extra` may hold."""


def own_check(name: str, entry: Mapping[str, Any]) -> Check:
    """An expectation of the user's own. What is wrong with its entry is kept in `problem`, with the
    gravest severity where none can be read, so that a slip of the pen never lets data through."""
    problems = [f"`{key}` is not one of {', '.join(EXTRA_KEYS)}" for key in entry if key not in EXTRA_KEYS]
    severity = entry.get("severity", "critical")
    if severity not in get_args(Severity):
        problems.append(f"`severity` is {severity!r}, expected one of {', '.join(get_args(Severity))}")
        severity = "critical"
    tolerance = entry.get("tolerance", 0.0)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance <= 1:
        problems.append(f"`tolerance` is {tolerance!r}, expected a share between 0 and 1")
        tolerance = 0.0
    table = entry.get("table", "dataset")
    if table not in ("dataset", "observations"):
        problems.append(f"`table` is {table!r}, expected `dataset` or `observations`")
        table = "dataset"
    type_ = entry.get("type")
    if not isinstance(type_, str) or not type_:
        problems.append("`type` is missing: the name of an expectation, such as " + VALUES_NOT_NULL)
        type_ = "expectation without a type"
    kwargs = entry.get("kwargs", {})
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        problems.append("`kwargs` is not a mapping from argument to value")
        kwargs = {}
    if tolerance and "mostly" not in kwargs:
        kwargs = {**kwargs, "mostly": 1.0 - tolerance}
    return Check(
        rule=name,
        expected=type_.removeprefix("expect_").replace("_", " "),
        severity=severity,
        tolerance=float(tolerance),
        table="rows" if table == "observations" else "dataset",
        type=type_,
        kwargs=dict(kwargs),
        problem="; ".join(f"expectations.{name}: {problem}" for problem in problems) or None,
    )
