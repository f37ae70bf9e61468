"""What came of one check, and the sentence that tells it.

Does not know where the figures come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from expectations.data.check import Check
from expectations.spec import Severity
from expectations.verdict import Finding

RuleOutcome = Literal["met", "met with defects", "not met", "could not be evaluated", "not looked at"]


DRIFT_FIGURES = {"psi": "PSI", "js": "JS", "unseen": "excess of unseen words"}
"""How a figure of drift is told, by the beginning of its column."""
SHARES = ("near_duplicates", "truncation", "labelled_share", "label_density")
"""Rules whose figure is a share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """What came of one check."""

    rule: str
    """Field of `DataRules`, or `extra[0]` for the first expectation of the user's own."""
    head: str | None
    split: str | None
    severity: Severity
    outcome: RuleOutcome
    count: int | None
    """Elements that break it; none where it is about one figure."""
    elements: int | None
    """Elements that it applies to."""
    observed: float | None
    """Share of elements that break it, or the figure that was judged."""
    tolerance: float
    """Share that may break it."""
    expected: str
    reason: str
    """One sentence: what was seen, where for example, and what to do."""

    @property
    def subject(self) -> str:
        """`labels_known[intent]`, `coverage[intent, test]`, `text_present`."""
        about = ", ".join(part for part in (self.head, self.split) if part)
        return f"{self.rule}[{about}]" if about else self.rule

    @property
    def stops(self) -> bool:
        """Whether this result alone stops the run."""
        return self.severity == "critical" and self.outcome in ("not met", "could not be evaluated")


def results_looked_at(results: Sequence[RuleResult]) -> list[RuleResult]:
    """Without those that were skipped: they count neither for nor against."""
    return [result for result in results if result.outcome != "not looked at"]


def result_of(check: Check, outcome: RuleOutcome, reason: str, **seen: Any) -> RuleResult:
    """The result of a check; `seen` holds `count`, `elements` and `observed` where they are known."""
    known = {"count": None, "elements": None, "observed": None, **seen}
    return RuleResult(
        rule=check.rule,
        head=check.head,
        split=check.split,
        severity=check.severity,
        outcome=outcome,
        tolerance=check.tolerance,
        expected=check.expected,
        reason=reason,
        **known,
    )


def judge_rows(
    check: Check,
    success: bool,
    count: int | None,
    elements: int | None,
    example: str | None,
    labels: Sequence[str],
    told: str = "",
) -> RuleResult:
    """The result of a check of many elements, of which `count` break it.

    Args:
        count: none where the expectation is about a whole column or table.
        example: `file:line` of one that breaks it.
        labels: the labels that break it, for a check of labels.
        told: what they are, in a few words with their numbers.
    """
    if count is None or elements is None:
        sentence = f"{check.type} was {'met' if success else 'not met'}"
        return result_of(check, "met" if success else "not met", sentence)
    seen = {"count": count, "elements": elements, "observed": count / elements}
    if success and not count:
        return result_of(check, "met", f"all {elements:,} {check.unit}", **seen)
    named = ", ".join(map(repr, labels[:5])) + (f" and {len(labels) - 5:,} more" if len(labels) > 5 else "")
    place = f", for example {example}" if example else ""
    sentence = (
        f"{count:,} of {elements:,} {check.unit} ({count / elements:.2%}) break it"
        f"{f' ({told})' if told else ''}{f': {named}' if labels else place}"
    )
    if success:
        return result_of(
            check, "met with defects", f"{sentence}; within the tolerated {check.tolerance:.2%}", **seen
        )
    todo = f"mend them, or raise expectations.{check.rule}" + (
        "" if check.rule.startswith("extra") else ".tolerance"
    )
    return result_of(
        check, "not met", f"{sentence}; at most {check.tolerance:.2%} are tolerated: {todo}", **seen
    )


def _plain(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def judge_figure(
    check: Check, success: bool, value: float, moved: Sequence[tuple[str, float, float]], told: str = ""
) -> RuleResult:
    """The result of a check of one figure; `moved` names what changed most, for drift, and `told` what
    the figure is made of."""
    low, high = check.kwargs.get("min_value"), check.kwargs.get("max_value")
    if check.rule == "drift":
        kind, about = str(check.column).split(":")[:2]
        sentence = f"{DRIFT_FIGURES[kind]} ({about}) is {value:.3g}, below {high:.3g} expected"
    elif check.rule in SHARES and high is not None:
        sentence = f"{value:.2%} seen, at most {high:.2%} tolerated"
    elif check.rule in SHARES:
        sentence = f"{value:.2%} seen, at least {low:.2%} expected"
    else:
        bound = f"at least {low:,.4g}" if low is not None else f"at most {high:,.4g}"
        sentence = f"{_plain(value)} seen, {bound} expected"
    if check.rule == "drift" and moved:
        changes = ", ".join(f"{name!r} {then:.1%} → {now:.1%}" for name, then, now in moved)
        sentence += f"; most changed: {changes}"
    if told:
        sentence += f": {told}"
    outcome: RuleOutcome = "met" if success else "not met"
    if success and check.warn_above is not None and value > 0 and value >= check.warn_above:
        outcome = "met with defects"
    return result_of(check, outcome, sentence, observed=value)


def finding_of(result: RuleResult) -> Finding:
    """A finding fails only where the rule is critical; what is otherwise amiss stays in its reason."""
    return Finding(
        subject=result.subject,
        outcome="fail" if result.stops else "pass",
        reason=result.reason
        if result.outcome == "met"
        else f"{result.severity}, {result.outcome}: {result.reason}",
        figures={
            "count": result.count,
            "elements": result.elements,
            "observed": result.observed,
            "tolerance": result.tolerance,
        },
    )
