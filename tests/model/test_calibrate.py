"""Temperature and thresholds: recover what is known, stay in bounds, never harm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.bundle.activations import decide, probabilities
from model.errors import BadInput
from model.measure.calibrate import (
    SHRINK_POSITIVES,
    best_temperature,
    best_thresholds,
    calibrate,
    common_threshold,
)
from model.measure.metrics import metric


def _draw(kind: str, seed: int, rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (rows, 3))
    shares = probabilities(kind, logits)  # type: ignore[arg-type]
    if kind == "multilabel":
        return logits, (random.random((rows, 3)) < shares).astype(np.int8)
    return logits, (random.random((rows, 1)) > shares.cumsum(1)).sum(1).clip(0, 2).astype(np.int32)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_recovered(kind: str, true_temperature: float) -> None:
    logits, targets = _draw(kind, 5)
    found = best_temperature(kind, logits * true_temperature, targets)  # type: ignore[arg-type]
    assert found == pytest.approx(true_temperature, rel=0.12)
    result = calibrate(kind, "accuracy", logits * true_temperature, targets)  # type: ignore[arg-type]
    assert result.ece_after < 0.03
    if true_temperature == 3.0:
        assert result.ece_after < result.ece_before / 3


@given(seed=st.integers(0, 9999))
@settings(max_examples=25, deadline=None)
def test_temperature_is_where_the_likelihood_is_best(seed: int) -> None:
    random = np.random.default_rng(seed)
    logits, targets = random.normal(0, 2, (40, 3)), random.integers(-1, 3, 40)
    targets[0] = 0
    found = best_temperature("multiclass", logits, targets)
    known = targets >= 0

    def loss(temperature: float) -> float:
        shares = probabilities("multiclass", logits[known], temperature)
        return float(-np.log(shares[np.arange(known.sum()), targets[known]] + 1e-300).mean())

    assert all(loss(found) <= loss(t) + 1e-6 for t in np.geomspace(0.05, 20, 80))


def test_separable_rows_stay_inside_the_bounds() -> None:
    logits = np.array([[5.0, 0.0], [0.0, 5.0]])
    assert 0.0499 < best_temperature("multiclass", logits, np.array([0, 1])) < 0.06
    assert best_temperature("multiclass", logits, np.array([1, 0])) > 19


def test_thresholds_by_hand() -> None:
    # label 0: 40 positives at 0.3, 60 negatives at 0.1: its own cut is 0.2. label 1 has one positive.
    shares = np.concatenate([np.full((40, 2), 0.3), np.full((60, 2), 0.1)])
    targets = np.zeros((100, 2), np.int8)
    targets[:40, 0] = 1
    targets[0, 1] = 1
    common = common_threshold("macro_f1", shares, targets)
    assert 0.1 < common <= 0.3
    found = best_thresholds("macro_f1", shares, targets)
    assert found[0] == pytest.approx((40 * 0.2 + SHRINK_POSITIVES * common) / (40 + SHRINK_POSITIVES))
    assert found[1] == pytest.approx((0.2 + SHRINK_POSITIVES * common) / (1 + SHRINK_POSITIVES))


def test_a_label_without_positives_takes_the_common_threshold() -> None:
    shares = np.array([[0.9, 0.4], [0.2, 0.3], [0.8, 0.1]])
    targets = np.array([[1, 0], [0, 0], [1, 0]], np.int8)
    found = best_thresholds("macro_f1", shares, targets)
    assert found[1] == pytest.approx(common_threshold("macro_f1", shares, targets))


@pytest.mark.parametrize("name", ["micro_f1", "subset_accuracy", "accuracy"])
def test_joint_metrics_get_one_threshold(name: str) -> None:
    logits, targets = _draw("multilabel", 2, 300)
    found = best_thresholds(name, probabilities("multilabel", logits), targets)  # type: ignore[arg-type]
    assert len(set(found.tolist())) == 1


def test_tuned_thresholds_beat_one_half_for_rare_labels() -> None:
    logits, targets = _draw("multilabel", 3)
    rare = logits - 2.5
    random = np.random.default_rng(1)
    targets = (random.random(rare.shape) < probabilities("multilabel", rare)).astype(np.int8)
    shares = probabilities("multilabel", rare)
    half = metric("macro_f1", "multilabel", decide("multilabel", shares), targets, 3)
    tuned_at = best_thresholds("macro_f1", shares, targets)
    tuned = metric("macro_f1", "multilabel", decide("multilabel", shares, tuned_at), targets, 3)
    assert tuned > half + 0.05


def test_refuses_what_it_cannot_judge() -> None:
    with pytest.raises(BadInput, match="no validation row"):
        calibrate("multiclass", "accuracy", np.zeros((3, 2)), np.full(3, -1))
    with pytest.raises(BadInput, match="not finite"):
        calibrate("multiclass", "accuracy", np.array([[np.nan, 0.0]]), np.array([0]))
