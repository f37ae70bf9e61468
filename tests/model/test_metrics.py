"""Metrics by hand, masked where unlabelled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.bundle.activations import decide, probabilities
from model.bundle.card import METRICS
from model.errors import BadInput
from model.measure.majority import majority_metric
from model.measure.metrics import (
    confusion_matrix,
    expected_calibration_error,
    metric,
    per_label,
)

SINGLE_CHOSEN = np.array([0, 0, 1, 2, 2, 1], np.int32)
SINGLE_TRUE = np.array([0, 1, 1, 2, 0, -1], np.int32)
CELLS_CHOSEN = np.array([[1, 0], [1, 1], [0, 0], [1, 1]], np.int8)
CELLS_TRUE = np.array([[1, 0], [0, 1], [-1, 1], [-1, -1]], np.int8)


def test_multiclass_by_hand() -> None:
    figures = per_label("multiclass", SINGLE_CHOSEN, SINGLE_TRUE, 3)
    assert figures.precision.tolist() == [0.5, 1.0, 0.5]
    assert figures.recall.tolist() == [0.5, 0.5, 1.0]
    assert figures.f1.tolist() == pytest.approx([0.5, 2 / 3, 2 / 3])
    assert figures.support.tolist() == [2, 2, 1]
    assert metric("accuracy", "multiclass", SINGLE_CHOSEN, SINGLE_TRUE, 3) == pytest.approx(3 / 5)
    assert metric("macro_f1", "multiclass", SINGLE_CHOSEN, SINGLE_TRUE, 3) == pytest.approx(11 / 18)
    assert metric("micro_f1", "multiclass", SINGLE_CHOSEN, SINGLE_TRUE, 3) == pytest.approx(3 / 5)
    assert confusion_matrix(SINGLE_CHOSEN, SINGLE_TRUE, 3).tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]


def test_multilabel_by_hand_leaves_unknown_cells_out() -> None:
    figures = per_label("multilabel", CELLS_CHOSEN, CELLS_TRUE, 2)
    assert figures.precision.tolist() == [0.5, 1.0]
    assert figures.recall.tolist() == [1.0, 0.5]
    assert figures.f1.tolist() == pytest.approx([2 / 3, 2 / 3])
    assert metric("macro_f1", "multilabel", CELLS_CHOSEN, CELLS_TRUE, 2) == pytest.approx(2 / 3)
    assert metric("micro_f1", "multilabel", CELLS_CHOSEN, CELLS_TRUE, 2) == pytest.approx(2 / 3)
    assert metric("accuracy", "multilabel", CELLS_CHOSEN, CELLS_TRUE, 2) == pytest.approx(3 / 5)
    assert metric("subset_accuracy", "multilabel", CELLS_CHOSEN, CELLS_TRUE, 2) == pytest.approx(1 / 3)


def test_an_answer_that_is_none_of_the_labels_is_wrong_and_chosen_for_no_label() -> None:
    chosen, true = np.array([-1, 0, 1, -1], np.int32), np.array([0, 0, 1, -1], np.int32)
    figures = per_label("multiclass", chosen, true, 2)
    assert figures.support.tolist() == [2, 1]
    assert figures.predicted.tolist() == [1, 1]
    assert figures.recall.tolist() == [0.5, 1.0]
    assert metric("accuracy", "multiclass", chosen, true, 2) == pytest.approx(2 / 3)
    assert confusion_matrix(chosen, true, 2).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("name", METRICS)
def test_no_labelled_row_is_an_error_not_a_figure(name: str) -> None:
    with pytest.raises(BadInput, match="no labelled row"):
        metric(name, "multiclass", SINGLE_CHOSEN, np.full(6, -1, np.int32), 3)  # type: ignore[arg-type]


def test_calibration_error_by_hand() -> None:
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.5, 0.5]])
    # bin of 0.9: one of two right, gap 0.4 on two rows; bin of 0.7: right, gap 0.3; the last is unlabelled
    error = expected_calibration_error("multiclass", shares, np.array([0, 1, 1, -1]))
    assert error == pytest.approx((2 * 0.4 + 0.3) / 3)
    cells = np.array([[1, 0], [-1, 0], [0, 1], [-1, -1]], np.int8)
    # cells 0.9→1, 0.1→0, 0.1→0, 0.3→0, 0.7→1
    assert expected_calibration_error("multilabel", shares, cells) == pytest.approx(
        (0.1 + 0.2 + 0.3 + 0.3) / 5
    )


def test_decisions_and_probabilities() -> None:
    logits = np.array([[0.0, np.log(3)], [800.0, -800.0]])
    assert probabilities("multiclass", logits)[0].tolist() == pytest.approx([0.25, 0.75])
    assert probabilities("multilabel", logits)[1].tolist() == [1.0, 0.0]
    assert probabilities("multilabel", np.array([[np.log(9)]]), 2.0)[0, 0] == pytest.approx(0.75)
    assert decide("multiclass", np.array([[0.2, 0.8]])).tolist() == [1]
    assert decide("multilabel", np.array([[0.2, 0.8]]), np.array([0.2, 0.9])).tolist() == [[1, 0]]


def test_majority() -> None:
    train = np.array([1, 1, 0, -1], np.int32)
    assert majority_metric(
        "accuracy", "multiclass", train, np.array([1, 0, 0, -1], np.int32), 2
    ) == pytest.approx(1 / 3)
    cells = np.array([[0, 1], [0, 0], [1, 1]], np.int8)
    # majority says (0, 1): F1 0 and 4/5; always everything: F1 1/2 and 4/5, which is better
    assert majority_metric("macro_f1", "multilabel", cells, cells, 2) == pytest.approx(0.65)


@given(seed=st.integers(0, 9999), kind=st.sampled_from(["multiclass", "multilabel"]))
@settings(max_examples=25, deadline=None)
def test_row_order_and_unlabelled_rows_do_not_matter(seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    shape = 20 if kind == "multiclass" else (20, 3)
    high = 3 if kind == "multiclass" else 2
    said, true = random.integers(0, high, shape), random.integers(0, high, shape)
    order = random.permutation(20)
    more_said = np.concatenate([said, said[:4]])
    more_true = np.concatenate([true, np.full_like(true[:4], -1)])
    for name in METRICS:
        value = metric(name, kind, said, true, 3)  # type: ignore[arg-type]
        assert 0.0 <= value <= 1.0
        assert metric(name, kind, said[order], true[order], 3) == pytest.approx(value)  # type: ignore[arg-type]
        assert metric(name, kind, more_said, more_true, 3) == pytest.approx(value)  # type: ignore[arg-type]
