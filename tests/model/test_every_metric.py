"""Every metric, for every kind of head, means one thing from training to the page."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from expectations.gates.accuracy import judge_accuracy
from expectations.gates.head_metrics import metric_value
from expectations.gates.scores import HeadScores
from expectations.spec import GateRules
from model.bundle import activations
from model.bundle.activations import decide
from model.bundle.answers import decisions, probabilities
from model.bundle.card import KINDS, METRICS, Card, HeadCard, HeadKind, MetricName, card_from_json
from model.bundle.errors import CardError
from model.measure.calibrate import calibrate
from model.measure.majority import majority_metric
from model.spec import HeadSpec
from model.train.evaluate import primary_metrics
from report.verdict_table import figure_text, verdict_rows

LABELS = ("a", "b", "c")


def answered(kind: HeadKind, rows: int = 300, noise: float = 1.5) -> tuple[Any, Any]:
    """Logits (N, L) that often agree with the targets, and targets with unlabelled rows and unknown cells."""
    rng = np.random.default_rng(3)
    if kind == "multiclass":
        targets = rng.integers(0, len(LABELS), rows).astype(np.int32)
        truth = np.eye(len(LABELS))[targets]
    else:
        targets = (rng.random((rows, len(LABELS))) < 0.4).astype(np.int8)
        truth = targets.copy()
        targets[5:8, 1] = -1
    logits = 4 * (truth - 0.5) + rng.normal(0, noise, truth.shape)
    targets[:5] = -1
    return logits.astype(np.float32), targets


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_one_figure_from_training_to_the_page(name: MetricName, kind: HeadKind) -> None:
    head = TypeAdapter(HeadSpec).validate_python({"kind": kind, "labels": LABELS, "metric": name})
    logits, targets = answered(kind)

    # Training: the epoch is chosen by the metric, then the head is calibrated for it.
    calibration = calibrate(kind, head.primary_metric, logits, targets)
    trained = primary_metrics(
        {"h": head},
        {"h": logits},
        {"h": targets},
        temperatures={"h": calibration.temperature},
        thresholds={"h": calibration.thresholds},
    )["h"]
    assert majority_metric(name, kind, targets, targets, len(LABELS)) < trained <= 1.0

    # The card says it, and the bundle answers with it.
    card = HeadCard(
        kind=kind,
        labels=LABELS,
        temperature=calibration.temperature,
        thresholds=calibration.thresholds,
        metric=head.primary_metric,
    )
    whole = Card(name="m", heads={"h": card}, max_length=8, precision="float32", precision_reason="asked for")
    read = card_from_json(json.loads(json.dumps(whole.to_json())), where="card.json").heads["h"]
    assert read == card
    chosen = decisions(read, probabilities(read, logits))

    # The gate compares it, and the table shows it.
    shared = HeadScores(kind=kind, labels=LABELS, targets=targets, decisions=chosen)
    assert metric_value(shared, read.metric) == pytest.approx(trained, abs=1e-12)
    verdict = judge_accuracy({"h": shared}, {"h": shared}, GateRules(resamples=200), {"h": head})
    (finding,) = verdict.findings
    assert finding.outcome == "pass"
    assert finding.figures["metric"] == name
    assert finding.figures["shared"] == pytest.approx(trained, abs=1e-12)
    (row,) = verdict_rows(verdict)
    assert (row["metric"], row["shared"]) == (name, figure_text(trained))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METRICS)
def test_the_gate_sees_a_model_that_is_worse(name: MetricName, kind: HeadKind) -> None:
    head = HeadSpec(kind=kind, labels=LABELS, metric=name)
    scores = []
    for noise in (0.5, 8.0):
        logits, targets = answered(kind, rows=600, noise=noise)
        chosen = decide(kind, activations.probabilities(kind, logits))
        scores.append(HeadScores(kind=kind, labels=LABELS, targets=targets, decisions=chosen))
    good, bad = ({"h": s} for s in scores)
    rules = GateRules(resamples=200)
    assert judge_accuracy(bad, good, rules, {"h": head}).outcome == "fail"
    assert judge_accuracy(good, bad, rules, {"h": head}).outcome == "pass"


def test_an_unknown_metric_is_refused_by_the_configuration_and_the_card() -> None:
    with pytest.raises(ValueError, match="metric"):
        TypeAdapter(HeadSpec).validate_python({"kind": "multiclass", "metric": "f7"})
    card = HeadCard(kind="multiclass", labels=LABELS, temperature=1.0, thresholds=None, metric="accuracy")
    whole = Card(name="m", heads={"h": card}, max_length=8, precision="float32", precision_reason="asked for")
    raw = whole.to_json()
    raw["heads"]["h"] = {**raw["heads"]["h"], "labels": list(LABELS), "metric": "f7"}
    with pytest.raises(CardError, match=r"heads\.h\.metric: seen 'f7'"):
        card_from_json(raw, where="card.json")
