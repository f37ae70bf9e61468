"""The accuracy gate: is the shared model, head by head, not worse than what it replaces?

Every head is compared with its baseline on the same rows (`expectations.gates.comparison`) and must pass,
which needs no correction for several tests: each is tested at the full level, and the whole is wrong at most
as often as one (intersection–union test: Berger 1982, Technometrics 24, 295–300).

Knows arrays and rules; does not know files or bundles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from expectations.gates.comparison import compared_head, point_limit
from expectations.gates.head_metrics import expected_calibration_error, per_label
from expectations.gates.scores import HeadScores
from expectations.spec import GateRules
from expectations.verdict import Finding, Verdict
from model.spec import HeadSpec


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
