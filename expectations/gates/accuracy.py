"""The accuracy gate: is the shared model, head by head, not worse than what it replaces?

Every head is compared with its baseline on the same rows (`expectations.gates.comparison`) and must pass,
which needs no correction for several tests: each is tested at the full level, and the whole is wrong at most
as often as one (intersection–union test: Berger 1982, Technometrics 24, 295–300). With baselines of several
seeds, a head is compared with each, and the means of differences and bounds decide (decision 0036).

Knows arrays and rules; does not know files or bundles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from expectations.gates.comparison import (
    compared_head,
    decide_margin,
    margin_set,
    margin_setting,
    point_limit,
)
from expectations.gates.head_metrics import expected_calibration_error, per_label
from expectations.gates.scores import HeadScores
from expectations.spec import GateRules
from expectations.verdict import Figures, Finding, Verdict
from model.errors import named
from model.spec import HeadSpec

Further = Mapping[str, Sequence[HeadScores | None]]
"""Head → answers of its baselines of further seeds on the test split; None where they are missing."""


def judge_accuracy(
    shared: Mapping[str, HeadScores],
    baselines: Mapping[str, HeadScores],
    rules: GateRules,
    heads: Mapping[str, HeadSpec],
    further: Further | None = None,
) -> Verdict:
    """Each head of the shared model against its baseline, then its floors.

    Args:
        shared: head → the shared bundle's answers on the test split.
        baselines: head → its baseline bundle's answers on the same rows.
        further: head → the same of its baselines of further seeds.

    Raises:
        ValueError: a baseline was scored on other rows than the shared model.
    """
    findings: list[Finding] = []
    for name, head in heads.items():
        margin = rules.margins.get(name, rules.margin)
        findings.append(
            compared_with_baselines(
                name, head, shared.get(name), of_all_seeds(name, baselines, further), rules, margin
            )
        )
        findings += _floors(name, head, shared.get(name), findings[-1], rules)
    return Verdict(gate="accuracy", findings=tuple(findings))


def of_all_seeds(
    name: str, baselines: Mapping[str, HeadScores], further: Further | None
) -> tuple[HeadScores | None, ...]:
    """The answers of a head's baselines, the first one's first; None where they are missing."""
    return (baselines.get(name), *(further or {}).get(name, ()))


def compared_with_baselines(
    subject: str,
    head: HeadSpec,
    shared: HeadScores | None,
    baselines: Sequence[HeadScores | None],
    rules: GateRules,
    margin: float,
) -> Finding:
    """One head against its baselines of one or several seeds: the finding by which it passes or not.

    Each comparison has its own difference and bounds, and their means decide. The mean of lower bounds is a
    cautious bound of the mean difference: the deviation of a mean of differences is at most the mean of
    their deviations, whatever the correlation between baselines that answer the same rows.

    Args:
        subject: what the finding is called.
        baselines: answers on the same rows, at least of one; None where they are missing.

    Raises:
        ValueError: one was scored on other rows than the shared model.
    """
    found = [
        compared_head(subject, head, shared, one, rules, margin, against="its baseline") for one in baselines
    ]
    if len(found) == 1:
        return found[0]
    for number, one in enumerate(found, 1):
        if one.figures.get("difference") is None:  # it could not be compared, so nothing is known of the mean
            reason = f"baseline {number} of {len(found)}: {one.reason}"
            return replace(one, reason=reason)
    return mean_finding(found)


def mean_finding(found: Sequence[Finding]) -> Finding:
    """Comparisons of one head with baselines of several seeds as one: every figure is the mean of theirs, the
    margin among them.

    Beside those it has `baseline_seeds`, and `baseline_low` and `baseline_high`, the metric of the worst and
    of the best baseline.
    """
    seeds = len(found)
    figures: Figures = {}
    for name, first in found[0].figures.items():
        values = [one.figures.get(name) for one in found]
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(numbers) < seeds:
            figures[name] = first
        else:
            mean = sum(numbers) / seeds
            figures[name] = math.ceil(mean) if all(isinstance(value, int) for value in values) else mean
    alone = [float(one.figures["baseline"] or 0.0) for one in found]
    figures |= {"baseline_seeds": seeds, "baseline_low": min(alone), "baseline_high": max(alone)}
    value, lower, upper = (float(figures[name] or 0.0) for name in ("difference", "lower", "upper"))
    margin = float(figures["margin"] or 0.0)
    shared, outcome = float(figures.get("shared") or 0.0), decide_margin(lower, upper, margin)
    passing = sum(one.outcome == "pass" for one in found)
    subject = found[0].subject
    reason = (
        f"`{subject}` has {figures['metric']} {shared:.4f}, {value:+.4f} [{lower:+.4f}, "
        f"{upper:+.4f}] against the mean of {seeds} baselines ({min(alone):.4f} to {max(alone):.4f}), of "
        f"which it passes {passing} alone"
    )
    setting = f"`{margin_setting(subject, 'its baseline')}` (now {margin_set(figures):g})"
    match outcome:
        case "pass":
            reason += f"; the margin is -{margin:.4g}"
        case "fail":
            reason += f": give it more weight or rows, or raise {setting}"
        case "inconclusive":
            needed = figures.get("rows_needed")
            reason += (
                f": {figures['n']:,} test rows cannot tell, about {needed:,} can; label more, or raise "
                f"{setting}"
            )
        case _:
            assert_never(outcome)
    return Finding(subject=subject, outcome=outcome, reason=reason, figures=figures)


def _floors(
    name: str, head: HeadSpec, scores: HeadScores | None, compared: Finding, rules: GateRules
) -> Iterator[Finding]:
    """Absolute limits on the point estimates: floors of the metric and of labels, calibration error."""
    usable = scores is not None and scores.finite and bool(scores.labelled.any())
    if name in rules.floors:
        value = compared.figures.get("shared")
        yield point_limit(
            f"{name} floor",
            head.primary_metric,
            value,
            rules.floors[name],
            at_least=True,
            what=f"`{name}`",
            setting=f"gates.floors.{name}",
        )
    figures = {f.label: f.f1 for f in per_label(scores)} if usable and scores is not None else {}
    for label, floor in rules.label_floors.get(name, {}).items():
        yield point_limit(
            f"{name} floor of {label}",
            "f1",
            figures.get(label),
            floor,
            at_least=True,
            what=f"Label {named(label)} of `{name}`",
            setting=f"gates.label_floors.{name}",
        )
    if name in rules.max_calibration_error:
        error = expected_calibration_error(scores) if usable and scores is not None else None
        limit = rules.max_calibration_error[name]
        yield point_limit(
            f"{name} calibration",
            "calibration error",
            error,
            limit,
            at_least=False,
            what=f"`{name}`",
            setting=f"gates.max_calibration_error.{name}",
        )
