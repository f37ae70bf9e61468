"""The accuracy gate: is the shared model, head by head, not worse than what it replaces?

Non-inferiority on the same rows, decided by the *interval*: `pass` if the one-sided lower bound of
metric(shared) - metric(baseline) is above -margin, `fail` if the upper bound is below it, else
`inconclusive`, with what the rows can certify. Every head must pass, which needs no correction for
several tests: each is tested at the full level, and the whole is wrong at most as often as one
(intersection–union test: Berger 1982, Technometrics 24, 295–300).

Knows arrays and rules; does not know files or bundles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from expectations.gates.head_metrics import compare, expected_calibration_error, per_label
from expectations.gates.scores import HeadScores
from expectations.spec import GateRules
from expectations.stats.bootstrap import Comparison
from expectations.stats.power import certifiable_margin, rows_needed
from expectations.verdict import Figures, Finding, Outcome, Verdict
from model.spec import HeadSpec, MetricName


def judge_accuracy(
    shared: Mapping[str, HeadScores],
    baselines: Mapping[str, HeadScores],
    rules: GateRules,
    heads: Mapping[str, HeadSpec],
) -> Verdict:
    """Each head of the shared model against its baseline, then its floors.

    Args:
        shared: head → the shared bundle's answers on the test split.
        baselines: head → its baseline bundle's answers on the same rows.

    Raises:
        ValueError: a baseline was scored on other rows than the shared model.
    """
    findings: list[Finding] = []
    for name, head in heads.items():
        margin = rules.margins.get(name, rules.margin)
        findings.append(
            compared_head(
                name, head, shared.get(name), baselines.get(name), rules, margin, against="its baseline"
            )
        )
        findings += _floors(name, head, shared.get(name), findings[-1], rules)
    return Verdict(gate="accuracy", findings=tuple(findings))


def judge_champion(
    shared: Mapping[str, HeadScores],
    champion: Mapping[str, HeadScores] | None,
    rules: GateRules,
    heads: Mapping[str, HeadSpec],
    champion_heads: Mapping[str, HeadSpec] | None = None,
) -> Verdict:
    """Each head against the version that serves, on the same rows with the same test.

    Rules for what has no like: without a champion the first model passes here, judged by its baselines
    and floors alone; a head that the champion does not answer, or answers as another kind, passes as
    new; a head that the champion answers and this model does not fails, unless `allow_dropped_heads`.

    Args:
        champion: head → the champion's answers, brought to this model's label order (`load_scores` with
            its card); none when nothing serves yet.
        champion_heads: heads of the champion's card, for what it answers beyond `heads`.

    Raises:
        ValueError: the champion was scored on other rows than the shared model.
    """
    if champion is None:
        reason = "no champion serves yet; the first model is judged by its baselines and floors alone"
        return Verdict(
            gate="champion", findings=(Finding(subject="first model", outcome="pass", reason=reason),)
        )
    known = (
        champion_heads
        if champion_heads is not None
        else {name: heads[name] for name in champion if name in heads}
    )
    findings = []
    for name, head in heads.items():
        subject = f"{name} vs champion"
        if name not in known or known[name].kind != head.kind:
            was = f"answers it as {known[name].kind}" if name in known else "does not answer it"
            reason = f"new head: the champion {was}, so there is nothing to compare with"
            findings.append(Finding(subject=subject, outcome="pass", reason=reason))
            continue
        finding = compared_head(
            subject,
            head,
            shared.get(name),
            champion.get(name),
            rules,
            rules.champion_margin,
            against="the champion",
        )
        findings.append(_with_label_note(finding, head, known[name]))
    for name in sorted(set(known) - set(heads)):
        reason = (
            f"the champion answers {name!r} and this model does not; "
            + ("allowed by `gates.allow_dropped_heads`" if rules.allow_dropped_heads else "")
            + ("" if rules.allow_dropped_heads else "its callers would find the head gone: ")
            + (
                ""
                if rules.allow_dropped_heads
                else "configure it again or set `gates.allow_dropped_heads: true`"
            )
        )
        outcome: Outcome = "pass" if rules.allow_dropped_heads else "fail"
        findings.append(Finding(subject=f"{name} vs champion", outcome=outcome, reason=reason))
    return Verdict(gate="champion", findings=tuple(findings))


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
            reason = f"no answers of {whose} for this head; score the bundle on the test split"
            return Finding(
                subject=subject, outcome="inconclusive", reason=reason, figures=_empty(metric, margin)
            )
        if not scores.finite:
            reason = f"{whose} gives probabilities that are not finite numbers; it is broken, retrain it"
            return Finding(subject=subject, outcome="fail", reason=reason, figures=_empty(metric, margin))
    assert shared is not None and other is not None
    _same_rows(subject, shared, other)
    n = int(shared.labelled.sum())
    if n == 0:
        reason = "no test row is labelled for this head; label some or change the split"
        return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=_empty(metric, margin))
    compared = compare(
        shared, other, metric, confidence=rules.confidence, resamples=rules.resamples, seed=rules.seed
    )
    outcome = decide_margin(compared.difference.lower, compared.difference.upper, margin)
    figures = _figures(metric, margin, n, compared, rules, disagreeing=_disagreeing(shared, other))
    return Finding(
        subject=subject,
        outcome=outcome,
        reason=_reason(outcome, figures, compared, rules, against),
        figures=figures,
    )


def _same_rows(subject: str, shared: HeadScores, other: HeadScores) -> None:
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
        "shared": compared.shared.value,
        "baseline": compared.baseline.value,
        "difference": compared.difference.value,
        "lower": compared.difference.lower,
        "upper": compared.difference.upper,
        "margin": margin,
        "n": n,
        "discordant": disagreeing,
        "confidence": rules.confidence,
        "standard_error": error,
        "certifiable_margin": certifiable_margin(error, **planned),
        "rows_needed": rows_needed(n, error, margin, **planned),
        "shared_lower": compared.shared.lower,
        "shared_upper": compared.shared.upper,
        "baseline_lower": compared.baseline.lower,
        "baseline_upper": compared.baseline.upper,
    }


def _reason(outcome: Outcome, figures: Figures, compared: Comparison, rules: GateRules, against: str) -> str:
    margin, confidence, difference = figures["margin"], f"{rules.confidence:.0%}", compared.difference
    # Four places where three would round a bound onto the margin that it is compared with.
    seen = f"{figures['metric']} differs from {against} by {difference.value:+.4f}"
    if outcome == "pass":
        return (
            f"{seen}, surely ({confidence}) by more than {difference.lower:+.4f}; the margin is -{margin:g}"
        )
    if not math.isfinite(difference.lower + difference.upper):
        return f"{seen}, with bounds that are not finite; the figures are broken, score again"
    if outcome == "fail":
        return (
            f"{seen}, surely ({confidence}) by less than {difference.upper:+.4f}, which is worse than the "
            f"margin -{margin:g}; give this head more weight or data, or keep a model of its own for it"
        )
    return (
        f"{seen}, between {difference.lower:+.4f} and {difference.upper:+.4f}: {figures['n']:,} rows cannot "
        f"tell whether that is within -{margin:g}; they certify a margin of "
        f"{figures['certifiable_margin']:.4f} at {rules.power:.0%} power, and the margin asked for "
        f"needs about {figures['rows_needed']:,} rows"
    )


def _with_label_note(finding: Finding, head: HeadSpec, champions: HeadSpec) -> Finding:
    """Say so when the champion knows other labels: its answers were brought to this model's by name."""
    gone, new = set(champions.labels) - set(head.labels), set(head.labels) - set(champions.labels)
    if not gone and not new:
        return finding
    notes = [
        f"{len(names)} {word}"
        for names, word in ((new, "new to this model"), (gone, "gone from it"))
        if names
    ]
    return Finding(
        subject=finding.subject,
        outcome=finding.outcome,
        reason=f"{finding.reason} (labels {', '.join(notes)}; compared by name)",
        figures={**finding.figures, "labels_new": len(new), "labels_gone": len(gone)},
    )


def _floors(
    name: str, head: HeadSpec, scores: HeadScores | None, compared: Finding, rules: GateRules
) -> Iterator[Finding]:
    """Absolute limits on the point estimates: floors of the metric and of labels, calibration error."""
    usable = scores is not None and scores.finite and bool(scores.labelled.any())
    if name in rules.floors:
        value = compared.figures.get("shared")
        yield point_limit(f"{name} floor", head.primary_metric, value, rules.floors[name], at_least=True)
    figures = {f.label: f.f1 for f in per_label(scores)} if usable and scores is not None else {}
    for label, floor in rules.label_floors.get(name, {}).items():
        yield point_limit(f"{name} floor of {label}", "f1", figures.get(label), floor, at_least=True)
    if name in rules.max_calibration_error:
        error = expected_calibration_error(scores) if usable and scores is not None else None
        limit = rules.max_calibration_error[name]
        yield point_limit(f"{name} calibration", "calibration error", error, limit, at_least=False)


def point_limit(
    subject: str, metric: str, value: float | int | str | None, limit: float, *, at_least: bool
) -> Finding:
    """A point estimate against a floor (`at_least`) or a ceiling; a missing one decides nothing."""
    word = "at least" if at_least else "at most"
    figures: Figures = {"metric": metric, "compare": "floor" if at_least else "ceiling", "shared": value}
    figures["limit"] = limit
    if not isinstance(value, int | float):
        reason = (
            f"{metric} could not be had; expected {word} {limit:g}: is the label or head in the test split?"
        )
        return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures)
    within = value >= limit if at_least else value <= limit
    reason = f"{metric} is {value:.4f}, expected {word} {limit:g}"
    if not (within and math.isfinite(value)):
        return Finding(
            subject=subject, outcome="fail", reason=f"{reason}; see the per-label table", figures=figures
        )
    return Finding(subject=subject, outcome="pass", reason=reason, figures=figures)
