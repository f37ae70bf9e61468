"""The references gate: is each head certainly better than the cheapest answer there is?

The other gates compare a model with models of its kind: where all of them learn nothing, all are equal.
Here each head is held beside one constant answer, which it must certainly beat, and beside TF-IDF with
logistic regression, than which it must not be certainly worse by more than its margin. Knows arrays and
rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expectations.gates.comparison import compared_figures, refuse_other_rows
from expectations.gates.head_metrics import compare
from expectations.gates.scores import HeadScores
from expectations.spec import GateRules
from expectations.stats.bootstrap import Comparison
from expectations.stats.power import rows_needed
from expectations.verdict import Figures, Finding, Outcome, Verdict
from model.errors import named
from model.spec import HeadSpec, ReferenceName

Answers = Mapping[str, Mapping[ReferenceName, HeadScores]]
"""Head → reference → what it answers to the test rows."""


MOST_ROWS_AGAIN = 10
"""Times as many test rows as there are, beyond which nobody is told to label them."""
COMMON = 0.5
"""Metric of a constant answer from which another metric is worth a thought."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Beside:
    """One head beside one reference."""

    name: str
    head: HeadSpec
    shared: HeadScores
    reference: HeadScores
    compared: Comparison
    figures: Figures


def wanted_references(rules: GateRules) -> tuple[ReferenceName, ...]:
    """The references that are judged, those switched off left out."""
    asked: tuple[tuple[ReferenceName, str], ...] = (
        ("majority", rules.references.majority),
        ("bag_of_words", rules.references.bag_of_words),
    )
    return tuple(name for name, mode in asked if mode != "off")


def load_reference_answers(path: Path, head: HeadSpec) -> dict[ReferenceName, HeadScores]:
    """What the references answer for one head, from the file of `python -m model reference`.

    Raises:
        ValueError: the file's arrays do not fit the head.
        OSError: the file cannot be read.
    """
    found: dict[ReferenceName, HeadScores] = {}
    with np.load(path, allow_pickle=False) as arrays:
        names: tuple[ReferenceName, ...] = ("majority", "bag_of_words")
        for name in names:
            if f"decisions:{name}" in arrays:
                found[name] = HeadScores(
                    kind=head.kind,
                    labels=head.labels,
                    targets=arrays["targets"],
                    decisions=arrays[f"decisions:{name}"],
                )
    return found


def judge_references(
    shared: Mapping[str, HeadScores], answers: Answers, rules: GateRules, heads: Mapping[str, HeadSpec]
) -> list[Verdict]:
    """One verdict for all references; none where all of them are switched off.

    Args:
        shared: head → the shared bundle's answers on the test split.

    Raises:
        ValueError: a reference answered other rows than the shared model.
    """
    wanted = wanted_references(rules)
    if not wanted:
        return []
    findings = [
        _judged(name, head, reference, shared.get(name), answers.get(name, {}).get(reference), rules)
        for name, head in heads.items()
        for reference in wanted
    ]
    return [Verdict(gate="references", findings=tuple(findings))]


def _judged(
    name: str,
    head: HeadSpec,
    reference: ReferenceName,
    shared: HeadScores | None,
    other: HeadScores | None,
    rules: GateRules,
) -> Finding:
    subject = f"{name} vs {_called(reference)}"
    compare_as = "better" if reference == "majority" else "not_worse"
    figures: Figures = {"metric": head.primary_metric, "compare": compare_as, "margin": 0.0, "n": 0}
    if shared is None or other is None or not shared.labelled.any():
        whose = "the shared model" if other is not None else f"the {_called(reference)}"
        reason = (
            f"0 answers of {whose} are there for `{name}` on labelled test rows; run `headgate retrain` again"
        )
        return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures)
    if not shared.finite:
        reason = (
            f"1 or more probabilities of the shared model for `{name}` are no finite numbers: it is broken; "
            "retrain it, if need be with a lower `train.learning_rate`"
        )
        return Finding(subject=subject, outcome="fail", reason=reason, figures=figures)
    refuse_other_rows(subject, shared, other)
    compared = compare(
        shared,
        other,
        head.primary_metric,
        confidence=rules.confidence,
        resamples=rules.resamples,
        seed=rules.seed,
    )
    beside = _Beside(
        name=name,
        head=head,
        shared=shared,
        reference=other,
        compared=compared,
        figures=figures | compared_figures(compared, int(shared.labelled.sum()), rules),
    )
    judge = _beside_majority if reference == "majority" else _beside_bag_of_words
    return judge(subject, beside, rules)


def _called(reference: ReferenceName) -> str:
    return {"majority": "majority", "bag_of_words": "bag of words"}[reference]


def _beside_majority(subject: str, beside: _Beside, rules: GateRules) -> Finding:
    """A head must be certainly better than one constant answer."""
    apart, metric = beside.compared.difference, beside.head.primary_metric
    constant = f"the majority answer ({_constant(beside.reference)}), {beside.compared.baseline.value:.4f}"
    seen = f"`{beside.name}` has {metric} {beside.compared.shared.value:.4f} beside {constant}"
    at = beside.shared.labelled
    n, confidence = int(at.sum()), f"{rules.confidence:.0%}"
    same = np.array_equal(beside.shared.decisions[at], beside.reference.decisions[at])
    outcome: Outcome
    if beside.compared.baseline.value >= 1:
        outcome = "inconclusive"
        reason = (
            f"The majority answer is right on all {n:,} test rows of `{beside.name}`, which tell nothing: "
            "label rows of other answers, or raise `split.test`"
        )
    elif same:
        outcome = "fail"
        reason = f"{seen}: the model gives that answer to every row, it has learned nothing; {_REMEDY}"
    elif apart.lower > 0:
        outcome = "pass"
        reason = f"{seen}: better, surely ({confidence}) by more than {apart.lower:+.4f}"
    elif apart.upper < 0 or not np.isfinite(apart.lower + apart.upper):
        outcome = "fail"
        reason = f"{seen}: surely ({confidence}) worse, by {apart.upper:+.4f} or more; {_REMEDY}"
    else:
        outcome = "inconclusive"
        reason = (
            f"{seen}: {apart.lower:+.4f} to {apart.upper:+.4f} is not certainly better; "
            f"{_more_rows(beside, rules)}{_other_metric(beside)}"
        )
    return Finding(subject=subject, outcome=outcome, reason=reason, figures=beside.figures)


_REMEDY = "look at its labels, its texts and the words that the encoder (`backbone.name`) does not know"


def _more_rows(beside: _Beside, rules: GateRules) -> str:
    apart = beside.compared.difference
    if apart.value <= 0:
        return "the model may have learned nothing: look at its labels and texts"
    n = int(beside.shared.labelled.sum())
    needed = rows_needed(n, apart.standard_error, apart.value, confidence=rules.confidence, power=rules.power)
    if needed is None or needed > MOST_ROWS_AGAIN * n:
        return "the model may have learned nothing: look at its labels and texts"
    return f"about {max(needed, n + 1):,} test rows would show it"


def _other_metric(beside: _Beside) -> str:
    if beside.head.primary_metric == "macro_f1" or beside.compared.baseline.value < COMMON:
        return ", or raise `train.epochs`"
    return (
        f", or `heads.{beside.name}.metric: macro_f1`, which shows more where one answer is right on "
        "most rows"
    )


def _constant(reference: HeadScores) -> str:
    """How a constant answer is called; it is the same on every row."""
    first = reference.decisions[0]
    if reference.kind == "multiclass":
        return f"always {named(reference.labels[int(first)])}"
    chosen = [label for label, on in zip(reference.labels, first, strict=True) if on]
    if not chosen:
        return "never a label"
    if len(chosen) == len(reference.labels):
        return "always every label"
    return f"always {named(chosen[0])}" if len(chosen) == 1 else f"always the same {len(chosen)} labels"


def _beside_bag_of_words(subject: str, beside: _Beside, rules: GateRules) -> Finding:
    """A head must not be certainly worse than words that are counted."""
    apart, confidence = beside.compared.difference, f"{rules.confidence:.0%}"
    seen = (
        f"`{beside.name}` has {beside.head.primary_metric} {beside.compared.shared.value:.4f} beside TF-IDF "
        f"with logistic regression, {beside.compared.baseline.value:.4f}"
    )
    between = f"between {apart.lower:+.4f} and {apart.upper:+.4f}"
    advice = "raise `train.epochs`, or choose an encoder that knows the language by `backbone.name`"
    remark = ""
    if not apart.upper >= 0:  # also where it is no number
        worse = f"{seen}: surely ({confidence}) worse, by {apart.upper:+.4f} or more; {advice}"
        if rules.references.bag_of_words == "fail":
            return Finding(subject=subject, outcome="fail", reason=worse, figures=beside.figures)
        remark = worse
    elif apart.value < 0:
        remark = f"{seen}: it may be worse ({between}); {advice}"
    return Finding(
        subject=subject, outcome="pass", reason=f"{seen}: {between}", figures=beside.figures, remark=remark
    )
