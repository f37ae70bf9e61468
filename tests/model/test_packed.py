"""Texts end to end give what padded texts give; where the kernel is wrong or absent, nobody uses it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from model.train.fast.packed import Segments, by_kernel, by_text, packed_encoder, segments_of
from tests.support.quick_networks import IDS, MASK, QUICK, quick_network

CPU = torch.device("cpu")
SEGMENTS = segments_of(MASK.numpy(), torch.from_numpy)


def _packed(network: Any, attention: Any = by_text, dtype: torch.dtype = torch.float32) -> Any:
    return packed_encoder(network.encoder, dtype, CPU, attention)


def test_segments_say_where_tokens_lie() -> None:
    assert SEGMENTS.where.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 15, 16]
    assert SEGMENTS.ends.tolist() == [0, 6, 9, 14] and SEGMENTS.ends.dtype == torch.int32
    assert SEGMENTS.longest == 6


@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
@pytest.mark.parametrize("family", QUICK)
def test_answers_and_gradients_are_those_of_transformers(family: str, pooling: Any) -> None:
    plain = quick_network(family, pooling)
    network = copy.deepcopy(plain)
    network.packed = _packed(network)
    assert network.packed is not None
    usual, found = plain(IDS, MASK)["a"], network(IDS, MASK, segments=SEGMENTS)["a"]
    torch.testing.assert_close(found, usual, atol=1e-5, rtol=1e-5)
    torch.autograd.backward(usual.square().sum())
    torch.autograd.backward(found.square().sum())
    own = dict(network.named_parameters())
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(own[name].grad, parameter.grad, atol=2e-5, rtol=1e-4, msg=name)


def test_bfloat16_matrices_are_taken_as_they_are() -> None:
    network = quick_network("bert")
    for module in network.encoder.modules():
        if isinstance(module, torch.nn.Linear):
            module.to(torch.bfloat16)
    packed = _packed(network, dtype=torch.bfloat16)
    assert packed is not None and packed(IDS, SEGMENTS).dtype == torch.bfloat16


def test_a_kernel_that_sees_the_neighbours_is_not_used() -> None:
    def across_texts(q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
        whole = Segments(segments.where, torch.tensor([0, len(q)]), len(q))
        return by_text(q, k, v, whole)

    network = quick_network("bert")
    for block in network.encoder.encoder.layer:  # type: ignore[union-attr]
        torch.nn.init.normal_(block.attention.self.query.weight)
        torch.nn.init.normal_(block.attention.self.value.weight)
    assert _packed(network) is not None
    assert _packed(network, across_texts) is None


def test_without_the_kernel_the_encoder_goes_transformers_way() -> None:
    assert _packed(quick_network("bert"), by_kernel) is None  # it is for CUDA


def test_families_and_dropout_that_it_does_not_know() -> None:
    assert _packed(quick_network("bert", hidden_act="gelu_new")) is None
    network = quick_network("bert")
    for module in network.encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.1
    assert _packed(network) is None
