"""One head beside another model on the same rows, and a point estimate beside its limit: one finding each.

Non-inferiority is decided by the *interval*: `pass` if the one-sided lower bound of metric(shared) -
metric(other) is above -margin, `fail` if the upper bound is below it, else `inconclusive`, with what the rows
can certify and, where a few labels lack rows, which and how many. Knows arrays and rules; does not know files
or bundles.
"""

from __future__ import annotations

import math

import numpy as np

from expectations.gates.head_metrics import compare, possible_gain
from expectations.gates.scores import HeadScores
from expectations.spec import GateRules
from expectations.stats.bootstrap import Comparison
from expectations.stats.power import certifiable_margin, rows_needed
from expectations.stats.rare_labels import rows_to_show
from expectations.verdict import Figures, Finding, Outcome
from model.bundle.card import MetricName
from model.errors import named
from model.spec import HeadSpec


def decide_margin(lower: float, upper: float, margin: float) -> Outcome:
    """Non-inferiority from the bounds of a difference; bounds that are not finite fail."""
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return "fail"
    if lower > -margin:
        return "pass"
    return "fail" if upper < -margin else "inconclusive"


def compared_head(
    subject: str,
    head: HeadSpec,
    shared: HeadScores | None,
    other: HeadScores | None,
    rules: GateRules,
    margin: float,
    *,
    against: str,
) -> Finding:
    """One head against another model on the same rows: the finding by which it passes or not.

    Args:
        subject: what the finding is called.
        other: the answers of the other model, on the same rows.
        against: how that model is called in sentences: `its baseline`, `the champion`.

    Raises:
        ValueError: the two were scored on other rows.
    """
    metric = head.primary_metric
    for whose, scores in (("the shared model", shared), (against, other)):
        if scores is None:
            reason = f"0 answers of {whose} are there for `{_about(subject)}`; run `headgate retrain` again"
            return Finding(
                subject=subject, outcome="inconclusive", reason=reason, figures=_empty(metric, margin)
            )
        if not scores.finite:
            reason = (
                f"1 or more probabilities of {whose} for `{_about(subject)}` are no finite numbers: it is "
                "broken; retrain it, if need be with a lower `train.learning_rate`"
            )
            return Finding(subject=subject, outcome="fail", reason=reason, figures=_empty(metric, margin))
    assert shared is not None and other is not None
    refuse_other_rows(subject, shared, other)
    taken = possible_gain(other)
    if taken >= margin:
        return Finding(
            subject=subject,
            outcome="inconclusive",
            reason=_too_few_seen(_about(subject), taken, margin, against),
            figures=_empty(metric, margin),
        )
    margin -= taken
    n = int(shared.labelled.sum())
    if n == 0:
        reason = f"0 test rows are labelled for `{_about(subject)}`; label some, or raise `split.test`"
        return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=_empty(metric, margin))
    compared = compare(
        shared, other, metric, confidence=rules.confidence, resamples=rules.resamples, seed=rules.seed
    )
    outcome = decide_margin(compared.difference.lower, compared.difference.upper, margin)
    figures = _figures(metric, margin, n, compared, rules, disagreeing=_disagreeing(shared, other))
    if taken:
        figures |= {"margin_taken": taken, "unseen": max(other.unseen)}
    reason = _reason(outcome, figures, rules, subject, against)
    spread = compared.spread
    if outcome == "inconclusive" and spread is not None and compared.hidden_by and spread.lower > -margin:
        hidden = _hidden(shared, compared, margin, rules.confidence)
        figures |= hidden
        reason = _hidden_reason(figures, subject, against)
    return Finding(subject=subject, outcome=outcome, reason=reason, figures=figures)


MOST_NAMED = 3
"""Labels that a sentence names; the rest are counted."""


def _hidden(shared: HeadScores, compared: Comparison, margin: float, confidence: float) -> Figures:
    """Which labels have too few rows, and how many would do for a label on which the whole loss sits."""
    spread, at = compared.spread, list(compared.hidden_by)
    assert spread is not None
    targets, answers = shared.indicators()
    rows, hits = (targets == 1).sum(axis=0), ((targets == 1) & (answers == 1)).sum(axis=0)
    false = ((targets == 0) & (answers == 1)).sum(axis=0)
    # What a label may hide beside the uncertainty of the others: bounds add up by their squares.
    room = math.sqrt(max((spread.value + margin) ** 2 - (spread.value - spread.lower) ** 2, 0.0))
    tested = rows > 0
    typical = float((hits[tested] / rows[tested]).mean()) if tested.any() else 1.0
    needed = max(
        rows_to_show(
            room * len(shared.labels),
            hits=max(float(hits[k] / rows[k]), 0.5 * typical) if rows[k] else typical,
            false=float(false[k] / rows[k]) if rows[k] else 0.0,
            confidence=confidence,
        )
        for k in at
    )
    some = [f"{named(shared.labels[k])} has {rows[k]:,}" for k in at[:MOST_NAMED]]
    more = f" and {len(at) - MOST_NAMED:,} more have few" if len(at) > MOST_NAMED else ""
    return {
        "rare_labels": ", ".join(some) + more,
        "rare_label_count": len(at),
        "label_rows_needed": needed,
        "lower_if_spread": spread.lower,
    }


def _hidden_reason(figures: Figures, subject: str, against: str) -> str:
    return (
        f"{_beside(figures, subject, against)}: the bound of the whole is within the margin, but labels with "
        f"few test rows can hide a loss ({figures['rare_labels']}); label about "
        f"{figures['label_rows_needed']:,} rows of each, or raise `{margin_setting(subject, against)}` (now "
        f"{margin_set(figures):g}){_less(figures)}"
    )


def margin_set(figures: Figures) -> float:
    """The margin as it is set, from which what new rows could be worth was taken off."""
    return round(float(figures["margin"] or 0.0) + float(figures.get("margin_taken") or 0.0), 12)


def _less(figures: Figures) -> str:
    """What was taken off the margin, and how to have it back."""
    if not figures.get("margin_taken"):
        return ""
    return (
        f"; {figures['margin_taken']:.4f} were taken off for rows that its baseline was fitted without "
        "(`--force` fits it anew)"
    )


def _too_few_seen(about: str, taken: float, margin: float, against: str) -> str:
    return (
        f"{against} was fitted without rows of `{about}` that could be worth {taken:.4f}, and the margin is "
        f"{margin:g}: fit it anew (`headgate retrain --force`), or set `gates.baseline_new_rows` to 0"
    )


def _about(subject: str) -> str:
    """The head, and its slice if it is one."""
    return subject.removesuffix(" vs champion")


def margin_setting(subject: str, against: str) -> str:
    """The setting whose margin a comparison is held to."""
    if against == "the champion":
        return "gates.champion_margin"
    return "gates.slices: margin" if ", " in subject else f"gates.margins.{subject}"


def _beside(figures: Figures, subject: str, against: str) -> str:
    """`topic` has accuracy 0.8030, +0.0010 against its baseline."""
    return (
        f"`{_about(subject)}` has {figures['metric']} {figures['shared']:.4f}, {figures['difference']:+.4f} "
        f"against {against}"
    )


def refuse_other_rows(subject: str, shared: HeadScores, other: HeadScores) -> None:
    """Return if two models answered the same rows and labels.

    Raises:
        ValueError: they did not.
    """
    if shared.kind != other.kind or shared.labels != other.labels:
        raise ValueError(f"{subject}: the two models answer different labels; bring them to one order first")
    if not np.array_equal(shared.targets, other.targets):
        raise ValueError(
            f"{subject}: the two models were scored on different rows ({shared.targets.shape} and "
            f"{other.targets.shape}, or other targets); score both on the same split"
        )


def _disagreeing(shared: HeadScores, other: HeadScores) -> int:
    at = shared.labelled
    differs = shared.decisions[at] != other.decisions[at]
    if shared.kind == "multilabel":
        differs = (differs & (shared.targets[at] >= 0)).any(axis=1)
    return int(np.count_nonzero(differs))


def _empty(metric: MetricName, margin: float) -> Figures:
    absent = ("shared", "baseline", "difference", "lower", "upper")
    return {"metric": metric, "compare": "difference", **dict.fromkeys(absent), "margin": margin, "n": 0}


def _figures(
    metric: MetricName, margin: float, n: int, compared: Comparison, rules: GateRules, *, disagreeing: int
) -> Figures:
    error = compared.difference.standard_error
    planned = {"confidence": rules.confidence, "power": rules.power}
    return {
        "metric": metric,
        "compare": "difference",
        **compared_figures(compared, n, rules),
        "margin": margin,
        "discordant": disagreeing,
        "standard_error": error,
        "certifiable_margin": certifiable_margin(error, **planned),
        "rows_needed": rows_needed(n, error, margin, **planned),
        "rows_needed_as_seen": rows_needed(n, error, margin, **planned, difference=compared.difference.value),
    }


def compared_figures(compared: Comparison, n: int, rules: GateRules) -> Figures:
    """Both models' figures on `n` rows and their difference, with bounds."""
    apart = compared.difference
    return {
        "shared": compared.shared.value,
        "baseline": compared.baseline.value,
        "difference": apart.value,
        "lower": apart.lower,
        "upper": apart.upper,
        "n": n,
        "confidence": rules.confidence,
        "shared_lower": compared.shared.lower,
        "shared_upper": compared.shared.upper,
        "baseline_lower": compared.baseline.lower,
        "baseline_upper": compared.baseline.upper,
    }


def _reason(outcome: Outcome, figures: Figures, rules: GateRules, subject: str, against: str) -> str:
    confidence, now, less = f"{rules.confidence:.0%}", f"(now {margin_set(figures):g})", _less(figures)
    lower, upper = figures["lower"], figures["upper"]
    assert isinstance(lower, float) and isinstance(upper, float)
    seen, setting = _beside(figures, subject, against), margin_setting(subject, against)
    # Four places where three would round a bound onto the margin that it is compared with.
    if outcome == "pass":
        margin = f"{figures['margin']:.4g}"
        return f"{seen}, surely ({confidence}) by more than {lower:+.4f}; the margin is -{margin}{less}"
    if not math.isfinite(lower + upper):
        return f"{seen}, with bounds that are not finite: the figures are broken; score again"
    if outcome == "fail":
        return (
            f"{seen}, surely ({confidence}) worse by {-upper:.4f} or more: it loses too much; give it more "
            f"`heads.{_about(subject).split(',')[0]}.weight` or rows, or raise `{setting}` {now}{less}"
        )
    as_seen = figures["rows_needed_as_seen"]
    at_seen = "none at the one seen" if as_seen is None else f"at the one seen about {as_seen:,}"
    return (
        f"{seen} [{lower:+.4f}, {upper:+.4f}]: {figures['n']:,} test rows cannot tell; with truly no "
        f"difference, about {figures['rows_needed']:,} rows can, {at_seen}: label more, or raise "
        f"`{setting}` {now}{less}"
    )


def point_limit(
    subject: str,
    metric: str,
    value: float | int | str | None,
    limit: float,
    *,
    at_least: bool,
    what: str,
    setting: str,
) -> Finding:
    """A point estimate against a floor (`at_least`) or a ceiling; a missing one decides nothing.

    Args:
        what: what has the metric, for a sentence: "`topic`".
        setting: path of the field that holds the limit.
    """
    word = "at least" if at_least else "at most"
    figures: Figures = {"metric": metric, "compare": "floor" if at_least else "ceiling", "shared": value}
    figures["limit"] = limit
    asked = f"{word} {limit:g} is asked"
    if not isinstance(value, int | float):
        reason = (
            f"{what} has no {metric} ({asked}), since 0 test rows tell it: label some, or change `{setting}`"
        )
        return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures)
    within = value >= limit if at_least else value <= limit
    seen = f"{what} has {metric} {value:.4f}, {asked}"
    if within and math.isfinite(value):
        return Finding(subject=subject, outcome="pass", reason=seen, figures=figures)
    advice = "give it more rows" if at_least else "add validation rows, by which it is calibrated"
    reason = f"{seen}: {advice}, or change `{setting}`"
    return Finding(subject=subject, outcome="fail", reason=reason, figures=figures)
