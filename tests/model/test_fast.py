"""The quick way through an encoder computes what transformers' own computes, and steps as AdamW does."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.spec import TrainSpec
from model.train.fast.encoder import quick_encoder
from model.train.fast.shapes import padded_lengths, shape_lengths
from model.train.fast.workers import Workers, shares
from model.train.network import mask_without_looking
from model.train.optimizer import freeze_embeddings, make_masters
from tests.support.quick_networks import IDS, MASK, QUICK, quick_network


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("family", QUICK)
def test_answers_are_those_of_transformers(family: str, threads: int) -> None:
    network = quick_network(family)
    with torch.no_grad():
        plain = network(IDS, MASK)["a"]
        found = quick_encoder(network, torch.float32, Workers(threads))
        assert found is not None
        network.quick = found[0]
        torch.testing.assert_close(network(IDS, MASK)["a"], plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", QUICK)
def test_a_mask_that_nobody_looks_into_hides_the_same(family: str) -> None:
    encoder: Any = quick_network(family).encoder.eval()
    encoder.set_attn_implementation("sdpa")
    mask = mask_without_looking(encoder, MASK, unpadded=False)
    assert mask is not None and mask.ndim == 4
    assert mask_without_looking(encoder, MASK, unpadded=True) is None
    with torch.no_grad():
        usual, found = (encoder(input_ids=IDS, attention_mask=m).last_hidden_state for m in (MASK, mask))
    torch.testing.assert_close(found[MASK.bool()], usual[MASK.bool()], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("frozen", "kept_whole"), [(True, True), (False, False), (False, True)])
@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("family", ["bert", "distilbert", "electra"])
def test_gradients_are_those_of_autograd(
    family: str, threads: int, frozen: bool, kept_whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.train.fast.encoder.KEPT_WHOLE_TOKENS", 100 if kept_whole else 0)
    plain = quick_network(family)
    if frozen:
        freeze_embeddings(plain)
    network = copy.deepcopy(plain)
    torch.autograd.backward(plain(IDS, MASK)["a"].square().sum())
    workers = Workers(threads)
    masters = make_masters(network, TrainSpec(), workers=workers.count)
    for one in masters.gradients:  # of the batch before
        for name in one:
            one[name].fill_(7.0 if name.startswith("encoder.") and ".layer." in name else 0.0)
    found = quick_encoder(network, torch.float32, workers, masters.gradients)
    assert found is not None
    network.quick, masters.written = found
    torch.autograd.backward(network(IDS, MASK)["a"].square().sum())
    for name, parameter in plain.named_parameters():
        if not parameter.requires_grad:
            continue
        if name in masters.written:
            mine: Any = sum(one[name] for one in masters.gradients)
        else:
            mine = dict(network.named_parameters())[name].grad
        torch.testing.assert_close(mine, parameter.grad, atol=2e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("bert", {"hidden_act": "gelu_new"}),
        ("deberta-v2", {}),
        ("modernbert", {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}),
    ],
)
def test_what_it_does_not_know_goes_transformers_way(family: str, changes: dict[str, Any]) -> None:
    network = quick_network(family, **changes)
    assert quick_encoder(network, torch.float32, Workers(1)) is None
    masters = make_masters(network, TrainSpec(), in_half=True)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(IDS, MASK)["a"]
    torch.autograd.backward(logits.square().sum())
    before = masters.named["encoder.embeddings.word_embeddings.weight"].clone() if family == "bert" else None
    masters.step(1.0)
    assert before is None or not before.equal(masters.named["encoder.embeddings.word_embeddings.weight"])
    assert all(view.isfinite().all() for view in masters.named.values())


def test_dropout_inside_the_encoder_goes_transformers_way() -> None:
    network = quick_network("bert", hidden_dropout_prob=0.1)
    for module in network.encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.1
    assert quick_encoder(network, torch.float32, Workers(1)) is None
    assert quick_encoder(network.eval(), torch.float32, Workers(1)) is not None


@pytest.mark.parametrize("clip", [0.05, 1e6])
def test_a_step_is_clipping_and_adamw(clip: float) -> None:
    recipe = TrainSpec(learning_rate=0.01, head_learning_rate=0.02, weight_decay=0.1, layer_decay=0.5)
    plain, network = quick_network("bert"), quick_network("bert")
    masters = make_masters(network, recipe)
    named = dict(plain.named_parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [named[n] for n in g.names], "lr": g.rate, "weight_decay": g.weight_decay}
            for g in masters.groups
        ]
    )
    for step in range(3):
        for one in (plain, network):
            torch.autograd.backward(one(IDS + step, MASK)["a"].square().sum())
        torch.nn.utils.clip_grad_norm_(list(plain.parameters()), clip)
        optimizer.step()
        optimizer.zero_grad()
        masters.step(clip)
    for name, weights in masters.named.items():
        if name.endswith("key.bias"):
            continue  # its gradient is 0 but for rounding, which AdamW blows up
        torch.testing.assert_close(weights, named[name].detach(), atol=2e-5, rtol=1e-4, msg=name)


def test_half_weights_follow_their_masters_and_are_given_back_whole() -> None:
    network = quick_network("bert")
    masters = make_masters(network, TrainSpec(learning_rate=0.1), in_half=True)
    weight = network.encoder.encoder.layer[0].output.dense.weight  # type: ignore[union-attr, index]
    assert weight.dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        torch.autograd.backward(network(IDS, MASK)["a"].square().sum())
    masters.step(1.0)
    name = "encoder.encoder.layer.0.output.dense.weight"
    assert weight.equal(masters.named[name].bfloat16())
    whole = masters.named[name].clone()
    masters.release()
    assert weight.dtype == torch.float32 and weight.equal(whole)


@given(lengths=st.lists(st.integers(1, 512), min_size=1, max_size=50), most=st.integers(8, 512))
def test_shapes_hold_every_text_and_are_few(lengths: list[int], most: int) -> None:
    cut = np.minimum(np.array(lengths, np.int64), most)
    found = shape_lengths(cut, most)
    assert (found >= cut).all() and (found <= max(most, int(cut.max()))).all()
    assert (found <= np.maximum(cut * 1.125 + 1, 2)).all()


def test_all_lengths_to_64_are_24_shapes() -> None:
    assert len(set(shape_lengths(np.arange(1, 65), 64).tolist())) == 24


@given(rows=st.integers(1, 50), parts=st.integers(1, 8))
def test_shares_are_all_rows_in_nearly_equal_parts(rows: int, parts: int) -> None:
    found = [one.stop - one.start for one in shares(rows, parts)]
    assert sum(found) == rows and min(found) >= 1 and max(found) - min(found) <= 1


def test_in_float32_no_text_is_padded_further_than_its_batch() -> None:
    lengths = np.array([5, 17, 33])
    assert padded_lengths(lengths, 64, "float32").tolist() == [5, 17, 33]
    assert padded_lengths(lengths, 64, "bfloat16").tolist() == [6, 18, 36]
