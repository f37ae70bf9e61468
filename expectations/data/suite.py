"""The checks of one dataset: the table of rules, applied to its heads, splits and columns.

Pure. Does not know how a check is evaluated (`expectations.data.gx.evaluate`), nor where the tables come from
(`expectations.data.tables`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from expectations.data.check import Check
from expectations.data.custom_checks import custom_check
from expectations.data.drift import Drift, levels_of
from expectations.data.rules import LANGUAGE_COLUMN, RULES, UNITS, RuleEntry
from expectations.data.texts import Languages
from expectations.spec import DataRules, Rule
from model.spec import HeadSpec


def build_suite(
    rules: DataRules,
    heads: Mapping[str, HeadSpec],
    columns: Mapping[str, Collection[str]],
    *,
    drift: Sequence[Drift] = (),
    languages: Languages | None = None,
) -> tuple[Check, ...]:
    """All checks: of the texts, head by head, of figures, of drift, then the custom ones.

    Args:
        columns: table → names of its columns.
        drift: comparisons with the champion's data.
        languages: what the detector found; none where it was not asked.
    """
    entries: dict[str, list[RuleEntry]] = {}
    for entry in RULES:
        entries.setdefault(entry.about, []).append(entry)
    checks: list[Check] = []
    for entry in entries["text"]:
        check = _check(entry, rules, columns)
        if entry.column == LANGUAGE_COLUMN and languages is not None:
            check = replace(check, skipped=languages.skipped, problem=languages.problem)
        checks.append(check)
    for head, spec in heads.items():
        for entry in entries["head"]:
            if entry.kind in (None, spec.kind):
                checks += (
                    _check(entry, rules, columns, head=head, split=split) for split in entry.splits or (None,)
                )
    checks += (_check(entry, rules, columns) for entry in entries["figure"])
    for entry in entries["drift"]:
        checks += _drift(entry, rules, drift)
    checks += (custom_check(f"extra[{at}]", entry) for at, entry in enumerate(rules.extra))
    return tuple(checks)


def _check(
    entry: RuleEntry,
    rules: DataRules,
    columns: Mapping[str, Collection[str]],
    *,
    head: str | None = None,
    split: str | None = None,
) -> Check:
    rule: Rule = getattr(rules, entry.name)
    type_, arguments = entry.expects(rules)
    column = entry.column.format(head=head, split=split)
    languages = ", ".join(rules.languages) or "none given"
    counted = entry.table != "figures"
    return Check(
        rule=entry.name,
        expected=entry.expected.format(rules=rules, rule=rule, split=split, languages=languages),
        severity=rule.severity,
        tolerance=rule.tolerance,
        table=entry.table,
        type=type_,
        kwargs={"column": column, **arguments, **({"mostly": 1.0 - rule.tolerance} if counted else {})},
        head=head,
        split=split,
        unit=entry.unit or UNITS[entry.table],
        value_unit=entry.value_unit,
        shows_value=entry.shows_value,
        warn_above=None if entry.warn_above is None else entry.warn_above(rules),
        warn_below=None if entry.warn_below is None else entry.warn_below(rules),
        advice=entry.advice,
        skipped=None if column in columns.get(entry.table, ()) else entry.absent,
    )


def _drift(entry: RuleEntry, rules: DataRules, comparisons: Sequence[Drift]) -> Iterator[Check]:
    """A check for each figure of each comparison; a comparison without figures is skipped and says why."""
    rule: Rule = getattr(rules, entry.name)
    type_, arguments = entry.expects(rules)
    plain = Check(
        rule=entry.name,
        expected=entry.expected,
        severity=rule.severity,
        tolerance=0.0,
        table=entry.table,
        type=type_,
        unit=entry.unit or UNITS[entry.table],
    )
    if all(one.state == "nothing to compare with" for one in comparisons):
        yield replace(plain, skipped=entry.absent)
        return
    for one in comparisons:
        plain = replace(plain, expected=f"{one.what} {entry.expected}", head=one.head, split=one.split)
        figures = one.figures(levels_of(rules))
        for figure in figures:
            yield replace(
                plain,
                expected=f"{plain.expected}: {figure.means} {figure.fail:.3g}",
                kwargs={"column": figure.column, "max_value": figure.fail, **arguments},
                figure=f"{figure.called} ({one.subject})",
                warn_above=figure.warn,
            )
        if not figures:
            yield replace(plain, skipped=_why_not_compared(one, rules))


def _why_not_compared(one: Drift, rules: DataRules) -> str:
    match one.state:
        case "too few rows":
            seen = f"{one.rows:,} rows now, {one.rows_then:,} in the champion's data"
            return f"{one.state}: {seen}, at least {rules.drift_min_rows:,} are needed"
        case "too few words":
            return f"{one.state}: at least {rules.drift_min_tokens:,} are needed on either side"
        case (
            "compared"
            | "nothing to compare with"
            | "the champion's words are not known"
            | "words were not counted"
        ):
            return one.state
        case _:
            assert_never(one.state)
