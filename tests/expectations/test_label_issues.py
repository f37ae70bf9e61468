"""Planted label errors come out on top; what is unlabelled takes no part; nothing is changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from expectations.stats.label_issues import score_labels
from model.spec import UNLABELLED


def classes(rows: int, wrong: int, seed: int = 3) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Targets (N,) of which the first `wrong` are not the true ones, and what a good model says of the
    true ones: sure of nine in ten, undecided between all labels for the others."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 4, rows)
    logits = rng.normal(0, 0.6, (rows, 4))
    sure = (rng.random(rows) < 0.9) | (np.arange(rows) < wrong)
    logits[np.arange(rows), true] += np.where(sure, 4.5, 0.5)
    odds = np.exp(logits)
    given_ = true.copy()
    given_[:wrong] = (true[:wrong] + 1) % 4
    return given_, odds / odds.sum(axis=1, keepdims=True)


def test_planted_errors_of_a_multiclass_head_are_the_worst() -> None:
    targets, probabilities = classes(1000, 30)
    before = targets.copy()
    scored = score_labels(targets, probabilities)
    worst = np.argsort(scored.score, kind="stable")[:30]
    assert set(worst.tolist()) == set(range(30))
    assert scored.suspected[:30].mean() > 0.9
    assert scored.suspected[30:].mean() < 0.1
    assert (scored.suggested[:30] == (targets[:30] - 1) % 4).mean() > 0.9
    assert (targets == before).all()


def test_a_score_is_the_probability_of_the_given_answer() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.5, 0.3]], dtype=np.float32)
    scored = score_labels(np.array([0, 1, UNLABELLED]), probabilities)
    assert scored.score[:2] == pytest.approx([0.7, 0.3])
    assert np.isnan(scored.score[2]) and not scored.suspected[2]
    assert scored.suggested.tolist() == [0, 2, UNLABELLED]


def test_planted_errors_of_a_multilabel_head_are_found_label_by_label() -> None:
    rng = np.random.default_rng(5)
    true = (rng.random((1200, 3)) < [0.3, 0.1, 0.5]).astype(np.int8)
    logits = np.where(true == 1, 2.5, -2.5) + rng.normal(0, 0.7, true.shape)
    targets = true.copy()
    missed, added = np.flatnonzero(true[:, 0] == 1)[:20], np.flatnonzero(true[:, 1] == 0)[:10]
    targets[missed, 0], targets[added, 1] = 0, 1
    scored = score_labels(targets, 1 / (1 + np.exp(-logits)))
    assert set(np.argsort(scored.score[:, 0])[:20].tolist()) == set(missed.tolist())
    assert set(np.argsort(scored.score[:, 1])[:10].tolist()) == set(added.tolist())
    assert scored.suspected[missed, 0].mean() > 0.8 and scored.suspected[added, 1].mean() > 0.8
    assert scored.suggested[missed, 0].tolist() == [1] * 20
    assert scored.suspected[:, 2].mean() < 0.02


def test_unlabelled_rows_and_cells_change_nothing() -> None:
    targets, probabilities = classes(400, 12)
    wide = np.insert(targets, [0, 200, 400], UNLABELLED)
    rows = np.insert(probabilities, [0, 200, 400], [0.25, 0.25, 0.25, 0.25], axis=0)
    alone, among = score_labels(targets, probabilities), score_labels(wide, rows)
    known = wide != UNLABELLED
    assert (among.suspected[known] == alone.suspected).all() and not among.suspected[~known].any()
    assert (among.score[known] == alone.score).all()

    cells = (targets[:, None] == np.arange(4)).astype(np.int8)
    hidden = cells.copy()
    hidden[::3, 1] = UNLABELLED
    all_known, some = score_labels(cells, probabilities), score_labels(hidden, probabilities)
    for label in (0, 2, 3):
        assert (some.suspected[:, label] == all_known.suspected[:, label]).all()
    assert not some.suspected[::3, 1].any() and np.isnan(some.score[::3, 1]).all()


@pytest.mark.parametrize(
    "targets", [np.zeros(40, np.int64), np.full(40, UNLABELLED), np.ones((40, 3), np.int8)], ids=str
)
def test_where_all_bear_one_answer_nothing_is_suspected(targets: NDArray[np.int64]) -> None:
    probabilities = np.random.default_rng(1).dirichlet(np.ones(3), 40)
    assert not score_labels(targets, probabilities).suspected.any()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(2, 5), st.integers(0, 2**32 - 1), st.booleans())
def test_whatever_is_given_a_suspect_is_known_and_has_another_suggestion(
    rows: int, labels: int, seed: int, multilabel: bool
) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(labels, 0.4), rows)
    shape, most = ((rows, labels), 2) if multilabel else ((rows,), labels)
    targets = rng.integers(UNLABELLED, most, shape)
    scored = score_labels(targets, probabilities)
    known = targets != UNLABELLED
    assert (np.isnan(scored.score) == ~known).all()
    assert ((scored.score[known] >= 0) & (scored.score[known] <= 1)).all()
    assert (known | ~scored.suspected).all()
    assert (scored.suggested != targets)[scored.suspected].all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"targets \(3,\) do not fit probabilities \(4, 2\)"):
        score_labels(np.zeros(3, np.int64), np.zeros((4, 2)))
