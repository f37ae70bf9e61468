"""The sentence that explains the result of a check: what was seen, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from expectations.data.check import CheckResult, RuleOutcome
from expectations.data.tables import Tables

MOST_LABELS = 5
"""Labels that a sentence names; the others are counted."""


def explained(
    result: CheckResult, tables: Tables, examples: Mapping[tuple[str, str | None], tuple[str, str]]
) -> CheckResult:
    """The result with its sentence, and `tolerated` in place of `met` where something is to be named.

    Args:
        examples: (rule, head) → place and value of one offending row.
    """
    check = result.check
    if result.outcome == "not looked at":
        return result
    if result.outcome == "could not be evaluated" or result.elements == 0:
        seen = result.reason or "there was nothing to look at: no row that it applies to"
        return replace(
            result, outcome="could not be evaluated", reason=f"{seen}; this never counts as met",
            count=None, elements=None, observed=None,
        )  # fmt: skip
    match check.unit:
        case "value" | "share" | "times" | "drift":
            return _figure(result, tables)
        case "answer":
            returned = f"the function returned {result.outcome == 'met'} for the whole table"
            return replace(result, reason=returned, count=None, elements=None, observed=None)
        case "rows" | "labels" | "texts":
            return _elements(result, tables, examples.get((check.rule, check.head)))
        case _:
            assert_never(check.unit)


def _elements(result: CheckResult, tables: Tables, example: tuple[str, str] | None) -> CheckResult:
    """A check of many elements, of which some break it, or of a whole column or table."""
    check, count, elements = result.check, result.count, result.elements
    if count is None or not elements:
        return replace(
            result, reason=f"{check.type} was {result.outcome}", count=None, elements=None, observed=None
        )
    result = replace(result, observed=count / elements)
    if result.outcome == "met" and not count:
        return replace(result, reason=f"all {elements:,} {check.unit}")
    note = ""
    if check.table in ("dataset", "rows") and result.rows is None:
        note = " (too many to list their rows)"
    elif (kinds := tables.kinds.get(check.column or "")) is not None:
        note = f" ({kinds.counted()})"
    place = ""
    if example is not None:
        value = f"{example[1]!r} in " if check.shows_value else ""
        place = f", for example {value}{example[0]}"
    if check.table == "labels" and result.rows is not None:
        labels = [str(label) for label in tables.frames["labels"]["label"].iloc[result.rows]]
        more = f" and {len(labels) - MOST_LABELS:,} more" if len(labels) > MOST_LABELS else ""
        place = f": {', '.join(map(repr, labels[:MOST_LABELS]))}{more}"
    seen = f"{count:,} of {elements:,} {check.unit} ({count / elements:.2%}) break it{note}{place}"
    if sentence := tables.notes.get(check.column or ""):
        return _sentence(result, sentence)
    if result.outcome == "met":
        return replace(
            result, outcome="tolerated", reason=f"{seen}; within the tolerated {check.tolerance:.2%}"
        )
    field = f"expectations.{check.rule}" + ("" if check.rule.startswith("extra") else ".tolerance")
    return replace(
        result,
        reason=f"{seen}; at most {check.tolerance:.2%} are tolerated: correct them, or raise {field}",
    )


def _sentence(result: CheckResult, sentence: str) -> CheckResult:
    """A check about which the merge said in words what it saw and what to do."""
    check, share = result.check, result.observed or 0.0
    if result.outcome == "met":
        within = (
            "" if check.tolerance >= 1 else f"; {share:.2%}, of which {check.tolerance:.2%} are tolerated"
        )
        return replace(result, outcome="tolerated", reason=f"{sentence}{within}")
    limit = f"{share:.2%} of the {check.unit}, at most {check.tolerance:.2%} are tolerated"
    return replace(result, reason=f"{sentence}; {limit} (`expectations.{check.rule}: {{tolerance: …}}`)")


def _figure(result: CheckResult, tables: Tables) -> CheckResult:
    """A check of one figure."""
    check, value = result.check, tables.figures[str(result.check.column)]
    low, high = check.kwargs.get("min_value"), check.kwargs.get("max_value")
    if check.unit == "times":
        seen = f"{value:.3g} times as many as then"
    elif check.unit == "drift":
        seen = f"{check.figure} is {value:.3g}, below {high:.3g} expected"
    elif check.unit == "share":
        bound = f"at least {low:.2%} expected" if high is None else f"at most {high:.2%} tolerated"
        seen = f"{value:.2%} seen, {bound}"
    else:
        plain = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"
        bound = f"at most {high:,.4g}" if low is None else f"at least {low:,.4g}"
        seen = f"{plain} seen, {bound} expected"
    named = check.warn_above is not None and value > 0 and value >= check.warn_above
    named |= check.warn_below is not None and value < check.warn_below
    outcome: RuleOutcome = "tolerated" if result.outcome == "met" and named else result.outcome
    advice = f"; {check.advice}" if check.advice and outcome != "met" else ""
    return replace(
        result,
        outcome=outcome,
        reason=seen + tables.notes.get(str(check.column), "") + advice,
        count=None,
        elements=None,
        observed=value,
    )
