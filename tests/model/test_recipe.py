"""Switchable parts of the recipe: golden values, and what must not change."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from model.measure.frequencies import MOST_LABEL_WEIGHT, label_weights
from model.rows import open_rows
from model.spec import BackboneSpec, FitJob, HeadKind, HeadSpec, LossForm, TrainSpec
from model.train.fit import fit
from model.train.losses import (
    HeadScale,
    LossShape,
    hard_loss,
    head_loss,
    head_scale,
    multiclass_loss,
    multilabel_loss,
)
from model.train.network import MultiHeadNetwork
from model.train.objective import teacher_share_at
from model.train.optimizer import levels_below_top, make_masters, plateaus, rate_factor

LN3 = math.log(3)
ONE = torch.ones(1)
TWO = HeadSpec(kind="multiclass", labels=("a", "b"))


def test_label_smoothing_by_hand() -> None:
    # softmax([ln 3, 0]) = [3/4, 1/4]; answer 0 smoothed by 0.2 over two labels: [0.9, 0.1]
    loss = multiclass_loss(torch.tensor([[LN3, 0.0]]), torch.tensor([0]), ONE, LossShape(smoothing=0.2))
    assert loss.item() == pytest.approx(0.9 * math.log(4 / 3) + 0.1 * math.log(4), abs=1e-6)
    cells = multilabel_loss(torch.tensor([[LN3]]), torch.tensor([[1]]), ONE, LossShape(smoothing=0.2))
    assert cells.item() == pytest.approx(0.9 * math.log(4 / 3) + 0.1 * math.log(4), abs=1e-6)


def test_focal_by_hand() -> None:
    shape = LossShape("focal", gamma=2.0)
    rows = multiclass_loss(torch.tensor([[LN3, 0.0], [LN3, 0.0]]), torch.tensor([0, 1]), torch.ones(2), shape)
    assert rows.item() == pytest.approx(math.log(4 / 3) / 16 + math.log(4) * 9 / 16, abs=1e-6)
    cells = multilabel_loss(torch.tensor([[LN3, LN3]]), torch.tensor([[1, 0]]), ONE, shape)
    assert cells.item() == pytest.approx(math.log(4 / 3) / 16 + math.log(4) * 9 / 16, abs=1e-6)


def test_asymmetric_by_hand() -> None:
    shape = LossShape("asymmetric", gamma=4.0)
    # present: plain; absent at 3/4: q = 0.7; absent at 1/20 or less: nothing
    low = math.log(0.04 / 0.96)
    loss = multilabel_loss(torch.tensor([[LN3, LN3, low]]), torch.tensor([[1, 0, 0]]), ONE, shape)
    assert loss.item() == pytest.approx(math.log(4 / 3) - 0.7**4 * math.log(0.3), abs=1e-5)
    plain = multiclass_loss(torch.tensor([[LN3, 0.0]]), torch.tensor([0]), ONE, shape)
    assert plain.item() == pytest.approx(math.log(4 / 3), abs=1e-6)


def test_weights_of_rare_labels_by_hand() -> None:
    single = np.array([0, 0, 0, 1, -1], np.int32)
    whole = label_weights("multiclass", single, 3, 1.0)
    # shares 3/4 and 1/4: every label the same in sum, a mean row weighs 1; label 2 has no row
    assert whole is not None and whole.tolist() == pytest.approx([2 / 3, 2.0, 1.0])
    cells = np.array([[1, 0], [0, 0], [0, 0], [0, 0], [-1, 0]], np.int8)
    present = label_weights("multilabel", cells, 2, 0.5)
    assert present is not None and present.tolist() == pytest.approx([math.sqrt(3), 1.0])
    rare = np.zeros((10_001, 1), np.int8)
    rare[0] = 1
    most = label_weights("multilabel", rare, 1, 1.0)
    assert most is not None and most.tolist() == [MOST_LABEL_WEIGHT]
    assert label_weights("multiclass", single, 3, 0.0) is None
    shape = LossShape(label_weights=torch.tensor([1.0, 5.0]))
    loss = multilabel_loss(torch.zeros(1, 2), torch.tensor([[0, 1]]), ONE, shape)
    assert loss.item() == pytest.approx(6 * math.log(2), abs=1e-6)


FORMS = st.sampled_from(get_args(LossForm))


@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["multiclass", "multilabel"]),
    form=FORMS,
    gamma=st.floats(0, 4),
    smoothing=st.floats(0, 0.5),
)
@settings(max_examples=40, deadline=None)
def test_ignored_rows_change_neither_loss_nor_gradient(
    seed: int, kind: HeadKind, form: LossForm, gamma: float, smoothing: float
) -> None:
    random = torch.Generator().manual_seed(seed)
    size = (4,) if kind == "multiclass" else (4, 3)
    targets = torch.randint(0, 3 if kind == "multiclass" else 2, size, generator=random)
    logits = (3 * torch.randn(6, 3, generator=random)).requires_grad_()
    shape = LossShape(form, gamma, smoothing, torch.rand(3, generator=random))
    before = hard_loss(kind, logits[:4], targets, torch.ones(4), shape)
    padded = torch.cat([targets, torch.full((2, *size[1:]), -1)])
    after = hard_loss(kind, logits, padded, torch.ones(6), shape)
    assert after.item() == pytest.approx(before.item(), rel=1e-5, abs=1e-6)
    torch.autograd.backward(after)
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
    assert not logits.grad[4:].any()


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("form", ["focal", "asymmetric"])
def test_extreme_logits_stay_finite(kind: HeadKind, form: LossForm) -> None:
    logits = torch.tensor([[80.0, -80.0], [-80.0, 80.0]], requires_grad=True)
    targets = torch.tensor([0, 0]) if kind == "multiclass" else torch.tensor([[1, 0], [1, 0]])
    loss = hard_loss(kind, logits, targets, torch.ones(2), LossShape(form, gamma=0.5))
    torch.autograd.backward(loss)
    assert math.isfinite(loss.item()) and logits.grad is not None and torch.isfinite(logits.grad).all()


def test_gamma_zero_is_plain_cross_entropy() -> None:
    logits, targets = (
        torch.randn(5, 3, generator=torch.Generator().manual_seed(2)),
        torch.tensor([0, 2, 1, -1, 2]),
    )
    plain = multiclass_loss(logits, targets, torch.ones(5))
    assert multiclass_loss(logits, targets, torch.ones(5), LossShape("focal", 0.0)).item() == pytest.approx(
        plain.item(), rel=1e-6
    )


def test_two_losses_are_weighed_by_pi() -> None:
    targets, ones = np.array([0, 1] * 8, np.int32), np.ones(16, np.float32)
    logits = torch.zeros(16, 2)

    def loss(weight: float) -> float:
        recipe = TrainSpec(mixing_exponent=0.5)
        scale = head_scale(replace(TWO, weight=weight), targets, ones, recipe, batches=1)
        return head_loss(scale, logits, torch.tensor(targets, dtype=torch.int64), torch.ones(16)).item()

    assert 0.3 * loss(1.0) + 0.7 * loss(1.0) == pytest.approx(loss(0.3) + loss(0.7), rel=1e-6)


def test_mixing_moves_from_one_exponent_to_another() -> None:
    scale = HeadScale("multiclass", hard=0.25, soft=1.0, share=0.25, mixing=2.0)
    assert scale.hard_at(2.0) == 0.25
    assert scale.hard_at(1.0) == pytest.approx(1.0)
    assert scale.hard_at(1.5) == pytest.approx(0.5)


def test_teachers_may_count_by_their_heads_rows() -> None:
    targets, ones = np.array([0, 1] + [-1] * 6, np.int32), np.ones(8, np.float32)  # a quarter is labelled

    def soft(exponent: float) -> float:
        recipe = TrainSpec(balance_losses=False, distillation_mixing=exponent)
        return head_scale(TWO, targets, ones, recipe, batches=1).soft

    assert [soft(0.0), soft(0.5), soft(1.0)] == pytest.approx([1 / 8, 1 / 16, 1 / 32])


def test_teachers_give_way_or_stay() -> None:
    bam = TrainSpec(distillation=0.6)
    assert [teacher_share_at(bam, x) for x in (0.0, 0.5, 1.0)] == pytest.approx([0.6, 0.3, 0.0])
    constant = replace(bam, distillation_final=0.6)
    assert [teacher_share_at(constant, x) for x in (0.0, 0.5, 1.0)] == pytest.approx([0.6] * 3)


def test_plateaus_by_hand() -> None:
    assert plateaus([], 2) == 0
    assert plateaus([0.5, 0.6, 0.7], 2) == 0
    assert plateaus([0.5, 0.5, 0.4], 2) == 1
    assert plateaus([0.5, 0.4, 0.6, 0.6, 0.5, 0.1, 0.2], 2) == 2
    assert plateaus([0.5, 0.4, 0.4, 0.4, 0.4], 1) == 4


def test_plateau_halves_the_rate_after_the_rise() -> None:
    rates = [
        rate_factor(step, 100, warmup_share=0.1, schedule="plateau", drops=drops)
        for step, drops in ((0, 0), (10, 0), (50, 1), (99, 2))
    ]
    assert rates == pytest.approx([1 / 11, 1.0, 0.5, 0.25])


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("encoder.encoder.layer.5.attention.self.query.weight", 0),
        ("encoder.encoder.layer.0.output.dense.bias", 5),
        ("encoder.transformer.layer.2.ffn.lin1.weight", 3),
        ("encoder.embeddings.word_embeddings.weight", 6),
        ("encoder.pooler.dense.weight", 0),
    ],
)
def test_levels_of_an_encoder_with_six_layers(name: str, levels: int) -> None:
    assert levels_below_top(name, 6) == levels


def test_lower_layers_learn_more_slowly(tiny_backbone: Path) -> None:
    from transformers import BertModel

    encoder = BertModel.from_pretrained(tiny_backbone, add_pooling_layer=False)
    network = MultiHeadNetwork(encoder, {"a": 2}, pooling="mean", dropout=0.0)
    recipe = TrainSpec(
        learning_rate=1.0, head_learning_rate=5.0, weight_decay=0.1, layer_decay=0.5, adam_beta2=0.99
    )
    masters = make_masters(network, recipe)
    rates = {name: group.peak_rate for group in masters.groups for name in group.names}
    assert rates["encoder.encoder.layer.1.output.dense.weight"] == 1.0
    assert rates["encoder.encoder.layer.0.output.dense.weight"] == 0.5
    assert rates["encoder.embeddings.word_embeddings.weight"] == 0.25
    assert rates["heads.head_a.weight"] == 5.0
    assert masters.beta2 == 0.99


@pytest.fixture
def job(tiny_backbone: Path, tiny_rows: Path, tmp_path: Path) -> FitJob:
    recipe = TrainSpec(
        epochs=2,
        batch_rows=16,
        max_length=16,
        learning_rate=1e-3,
        threads=1,
        precision="float32",
        distillation=0.0,
    )
    return FitJob(
        heads=open_rows(tiny_rows).heads,
        backbone=BackboneSpec(name=str(tiny_backbone)),
        train=recipe,
        rows=str(tiny_rows),
        out=str(tmp_path / "fitted"),
    )


def _silent(event: Mapping[str, Any]) -> None:
    pass


CHANGES: dict[str, dict[str, Any]] = {
    "label smoothing": {"label_smoothing": 0.1},
    "focal": {"loss": "focal"},
    "asymmetric": {"loss": "asymmetric", "focal_gamma": 4.0},
    "rare labels": {"rare_label_exponent": 0.5},
    "layer decay": {"layer_decay": 0.8},
    "beta": {"adam_beta2": 0.99},
    "annealed mixing": {"mixing_exponent": 1.0, "mixing_final_exponent": 0.2},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_part_trains_and_changes_the_weights(
    job: FitJob, change: dict[str, Any], tmp_path: Path
) -> None:
    fit(job, _silent)
    other = replace(job, train=replace(job.train, **change), out=str(tmp_path / "other"))
    facts = fit(other, _silent)
    assert all(math.isfinite(v) for figures in facts["validation"].values() for v in figures.values())
    name = "encoder.encoder.layer.0.output.dense.weight"
    one, two = (load_file(Path(j.out) / "weights.safetensors")[name] for j in (job, other))
    assert not one.equal(two)


@pytest.mark.parametrize(
    ("change", "least", "most"),
    [
        ({"schedule": "plateau", "patience": 1, "plateau_drops": 2}, 4, 12),
        ({"schedule": "constant", "early_stopping": True, "patience": 1}, 2, 12),
    ],
    ids=["plateau", "early stopping"],
)
def test_a_training_that_gains_nothing_more_ends_early_and_resumes_alike(
    job: FitJob, change: dict[str, Any], least: int, most: int, tmp_path: Path
) -> None:
    # A rate near 0: no epoch after the first is better.
    recipe = replace(
        job.train, epochs=40, learning_rate=1e-12, head_learning_rate=1e-12, dropout=0.0, **change
    )
    facts = fit(replace(job, train=recipe), _silent)
    assert least <= facts["epochs"] <= most < 40
    assert facts["steps"] == facts["epochs"] * 8
    history = json.loads((Path(job.out) / "history.json").read_text())
    assert len(history["epochs"]) == facts["epochs"]
    if recipe.schedule == "plateau":
        rates = [point["learning_rate"] for point in history["steps"]]
        assert rates[-1] == pytest.approx(0.25e-12)

    class Killed(Exception):
        pass

    def on_event(event: Mapping[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == 12:
            raise Killed

    broken = replace(job, train=recipe, out=str(tmp_path / "broken"))
    with pytest.raises(Killed):
        fit(broken, on_event)
    again = fit(broken, _silent)
    assert again["epochs"] == facts["epochs"]
    assert json.loads((Path(broken.out) / "history.json").read_text()) == history
