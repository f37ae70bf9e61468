"""Losses against values worked by hand, against float64, and against what must not matter."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.measure.frequencies import label_shares, prior_loss
from model.spec import HeadSpec, TrainSpec
from model.train.losses import (
    Teaching,
    distillation_loss,
    hard_loss,
    head_loss,
    head_scale,
    multiclass_loss,
    multilabel_loss,
)

TWO = HeadSpec(kind="multiclass", labels=("a", "b"))


def test_multiclass_by_hand() -> None:
    # softmax([ln 3, 0]) = [3/4, 1/4]; rows: right label 0, right label 1, unlabelled.
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0], [9.0, -9.0]])
    loss = multiclass_loss(logits, torch.tensor([0, 1, -1]), torch.tensor([1.0, 2.0, 5.0]))
    assert loss.item() == pytest.approx(math.log(4 / 3) + 2 * math.log(4), abs=1e-6)


def test_multilabel_by_hand() -> None:
    # sigmoid(ln 3) = 3/4; the unknown cell and the unlabelled row count nothing.
    logits = torch.tensor([[math.log(3), math.log(3), 7.0], [5.0, 5.0, 5.0]])
    targets = torch.tensor([[1, 0, -1], [-1, -1, -1]], dtype=torch.int8)
    loss = multilabel_loss(logits, targets, torch.tensor([2.0, 3.0]))
    assert loss.item() == pytest.approx(2 * (math.log(4 / 3) + math.log(4)), abs=1e-6)


def test_distillation_by_hand() -> None:
    teacher = torch.tensor([[2 * math.log(3), 0.0]])  # at T = 2: [3/4, 1/4]
    student = torch.tensor([[0.0, 0.0]])  # [1/2, 1/2]
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    loss = distillation_loss("multiclass", student, teacher, torch.ones(1), 2.0)
    assert loss.item() == pytest.approx(4 * divergence, abs=1e-6)
    both = distillation_loss("multilabel", student, teacher, torch.ones(1), 2.0)
    # label 1: teacher and student agree at 1/2; label 0: KL(3/4 ‖ 1/2)
    assert both.item() == pytest.approx(4 * divergence, abs=1e-6)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_distillation_is_zero_for_the_teacher_itself(kind: str) -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    loss = distillation_loss(kind, logits, logits.clone(), torch.ones(5), 3.0)  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(0.0, abs=1e-5)


@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 30.0))
@settings(max_examples=30, deadline=None)
def test_float32_agrees_with_a_float64_reference(seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, scale, (6, 4))
    single, cells = random.integers(-1, 4, 6), random.integers(-1, 2, (6, 4))
    weights = random.uniform(0.1, 3, 6)
    shifted = logits - logits.max(1, keepdims=True)
    log_share = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    ce = sum(-w * row[t] for w, row, t in zip(weights, log_share, single, strict=True) if t >= 0)
    log_yes, log_no = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
    cell = np.where(cells == 1, -log_yes, -log_no) * (cells != -1)
    bce = (cell.sum(1) * weights).sum()
    x, w = torch.tensor(logits, dtype=torch.float32), torch.tensor(weights, dtype=torch.float32)
    assert multiclass_loss(x, torch.tensor(single), w).item() == pytest.approx(ce, rel=1e-4, abs=1e-4)
    cells8 = torch.tensor(cells, dtype=torch.int8)
    assert multilabel_loss(x, cells8, w).item() == pytest.approx(bce, rel=1e-4, abs=1e-4)


@given(
    seed=st.integers(0, 10_000), extra=st.integers(1, 5), kind=st.sampled_from(["multiclass", "multilabel"])
)
@settings(max_examples=30, deadline=None)
def test_ignored_rows_do_not_change_the_loss(seed: int, extra: int, kind: str) -> None:
    random = torch.Generator().manual_seed(seed)
    shape = (4,) if kind == "multiclass" else (4, 3)
    high = 3 if kind == "multiclass" else 2
    targets = torch.randint(0, high, shape, generator=random)
    logits, weights = torch.randn(4, 3, generator=random), torch.rand(4, generator=random)
    before = hard_loss(kind, logits, targets, weights)  # type: ignore[arg-type]
    after = hard_loss(
        kind,  # type: ignore[arg-type]
        torch.cat([logits, torch.randn(extra, 3, generator=random)]),
        torch.cat([targets, torch.full((extra, *shape[1:]), -1)]),
        torch.cat([weights, torch.ones(extra)]),
    )
    assert after.item() == pytest.approx(before.item(), rel=1e-6)


def test_no_labelled_row_gives_zero_and_no_gradient() -> None:
    logits = torch.randn(3, 2, requires_grad=True)
    loss = multiclass_loss(logits, torch.full((3,), -1), torch.ones(3))
    torch.autograd.backward(loss)
    assert loss.item() == 0.0
    assert logits.grad is not None and not logits.grad.any()


def test_prior_loss_is_the_loss_of_answering_frequencies() -> None:
    single = np.array([0, 0, 0, 1, -1], np.int32)
    assert label_shares("multiclass", single, 2).tolist() == [0.75, 0.25]
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert prior_loss("multiclass", single, 2) == pytest.approx(entropy)
    cells = np.array([[1, 0], [0, -1], [0, 1], [0, 0], [-1, -1]], np.int8)
    assert label_shares("multilabel", cells, 2).tolist() == [0.25, pytest.approx(1 / 3)]
    third = -(math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3)
    assert prior_loss("multilabel", cells, 2) == pytest.approx(entropy + third)


def test_prior_loss_has_a_floor() -> None:
    assert prior_loss("multiclass", np.zeros(9, np.int32), 2) == 0.01


def test_a_balanced_head_that_answers_frequencies_loses_its_weight_in_a_mean_batch() -> None:
    targets = np.array([0, 0, 0, 1] * 8, np.int32)
    weights = np.ones(32, np.float32)
    scale = head_scale(replace(TWO, weight=1.7), targets, weights, TrainSpec(mixing_exponent=0.5), batches=4)
    logits = torch.log(torch.tensor([[0.75, 0.25]])).expand(8, 2)
    loss = head_loss(scale, logits, torch.tensor([0, 0, 0, 1] * 2), torch.ones(8))
    assert loss.item() == pytest.approx(1.7, rel=1e-5)


@pytest.mark.parametrize(("mixing", "factor"), [(0.0, 1.0), (0.5, 0.5), (1.0, 0.25)])
def test_mixing_weighs_a_head_by_its_share_of_labelled_rows(mixing: float, factor: float) -> None:
    targets = np.array([0, 1, -1, -1, -1, -1, -1, -1], np.int32)  # a quarter is labelled
    ones = np.ones(8, np.float32)
    recipe = TrainSpec(balance_losses=False, mixing_exponent=mixing)
    scale = head_scale(TWO, targets, ones, recipe, batches=1)
    loss = head_loss(scale, torch.zeros(8, 2), torch.tensor(targets, dtype=torch.int64), torch.ones(8))
    assert loss.item() == pytest.approx(factor * math.log(2), rel=1e-5)


def test_rows_without_a_label_still_learn_from_the_teacher() -> None:
    recipe = TrainSpec(balance_losses=False, mixing_exponent=0.0)
    scale = head_scale(TWO, np.array([0, -1], np.int32), np.ones(2, np.float32), recipe, batches=1)
    logits = torch.zeros(2, 2, requires_grad=True)
    teacher = torch.tensor([[0.0, 3.0], [0.0, 3.0]])
    teaching = Teaching(teacher, share=0.5)
    loss = head_loss(scale, logits, torch.tensor([0, -1]), torch.ones(2), teaching=teaching)
    torch.autograd.backward(loss)
    assert logits.grad is not None
    assert logits.grad[1, 1] < 0  # towards the teacher's answer
    assert logits.grad[0, 0] < logits.grad[1, 0]  # the label pulls the other way
