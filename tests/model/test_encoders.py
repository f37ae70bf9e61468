"""Encoders beyond BERT: exported, fused, in 8 bits, read back, and as classifiers of transformers."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from model.bundle.card import HeadCard
from model.errors import BackboneError, BadInput
from model.export.graph import OPSET, PARITY, export_graph, largest_difference, sample_inputs
from model.export.hub.read_back import read_back
from model.export.hub.stock import NotStock, stock_classifier
from model.export.quantise import quantise
from model.jobs.prepare import refuse_unexportable
from model.spec import TrainSpec
from model.train.backbone import ResolvedBackbone, refuse_longer
from tests.support.small_encoders import KINDS, small_network

LABELS = {"topic": ("weather", "food", "animal"), "names": ("sun", "tea", "cat", "fox", "hen")}
COUNTS = {head: len(names) for head, names in LABELS.items()}
NO_POOLING = {"deberta-v2", "modernbert"}
"""Relative and rotary positions: no layer of theirs pools by attention (decision 63)."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_answers_as_the_network_in_float32_and_in_eight_bits(kind: str, tmp_path: Path) -> None:
    network = small_network(kind, COUNTS)
    graph = export_graph(network, LABELS, max_length=64, scratch=tmp_path)
    assert graph.difference <= PARITY
    assert {entry.domain: entry.version for entry in graph.model.opset_import}[""] == OPSET
    operators = [node.op_type for node in graph.model.graph.node]
    assert graph.fused
    assert "SkipLayerNormalization" in operators
    assert operators.count("MultiHeadAttention") == network.encoder.config.num_hidden_layers
    assert "Softmax" not in operators
    small = quantise(graph.model, tmp_path)
    assert small.ByteSize() < graph.model.ByteSize()
    assert "MatMulNBits" in {node.op_type for node in small.graph.node}
    inputs = sample_inputs(network, 64)
    with torch.no_grad():
        largest = max(float(one.abs().max()) for given in inputs for one in network(*given).values())
    assert largest_difference(network, LABELS, small, inputs) < 0.05 * largest


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_read_back_from_the_graph(kind: str, tmp_path: Path) -> None:
    """In float32 bit by bit; in 8 bits as they were rounded: by half a step of 127 or of 255."""
    network = small_network(kind, COUNTS, pooling="attention")
    graph = export_graph(network, LABELS, max_length=64, scratch=tmp_path)
    other = copy.deepcopy(network)
    read_back(graph.model, other, LABELS, fused=graph.fused, scratch=tmp_path)
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name]), name
    read_back(quantise(graph.model, tmp_path), other, LABELS, fused=graph.fused, scratch=tmp_path)
    for name, weight in network.state_dict().items():
        off = float((weight - other.state_dict()[name]).abs().max())
        assert off <= 0.006 * float(weight.abs().max()), name


@pytest.mark.parametrize("pooling", ["cls", "mean", "attention"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_of_transformers_answers_as_the_head(kind: str, pooling: str) -> None:
    """At ragged rows with padding, logits of ten and more, a temperature, and nearly the most labels."""
    labels = tuple(f"label {number}" for number in range(14))
    network = small_network(kind, {"topic": 3, "names": len(labels)}, pooling=pooling)
    card = HeadCard(kind="multilabel", labels=labels, temperature=1.7, thresholds=None, metric="macro_f1")
    if pooling == "attention" and kind in NO_POOLING:
        with pytest.raises(NotStock, match=r"pooling: mean"):
            stock_classifier(network, "names", card)
        return
    classifier = stock_classifier(network, "names", card)
    assert classifier.config.problem_type == "multi_label_classification"
    assert classifier.config.id2label == dict(enumerate(labels))
    largest = 0.0
    for ids, mask in sample_inputs(network, 64):
        with torch.no_grad():
            expected = network(ids, mask)["names"] / 1.7
            seen = classifier(input_ids=ids, attention_mask=mask).logits
        largest = max(largest, float(expected.abs().max()))
        assert float((seen - expected).abs().max()) < 1e-3
    assert largest > 3, "logits so small that nothing is shown"


def saved(kind: str, folder: Path, **sizes: Any) -> ResolvedBackbone:
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(kind, **sizes)
    AutoModel.from_config(config).save_pretrained(folder)
    return ResolvedBackbone(kind, folder, None, "", "digest", None)


@pytest.mark.slow
def test_an_encoder_that_cannot_be_exported_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    sizes = {"vocab_size": 90, "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 48}
    mixing = saved("fnet", tmp_path / "fnet", **sizes)  # takes no attention mask
    spec, cache = TrainSpec(max_length=16), tmp_path / "cache"
    with pytest.raises(BackboneError, match=r"'fnet': a model on it can't be exported.*distilbert"):
        refuse_unexportable(mixing, spec, cache)
    assert not list(cache.rglob(".complete"))
    of_another_kind = saved("mpnet", tmp_path / "mpnet", num_attention_heads=2, **sizes)
    refuse_unexportable(of_another_kind, spec, cache)
    [kept] = cache.rglob(".complete")
    began_s = time.monotonic()
    refuse_unexportable(of_another_kind, spec, cache)
    assert time.monotonic() - began_s < 2 and kept.is_file()


@pytest.mark.parametrize(
    ("config", "most"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "camembert", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "modernbert", "max_position_embeddings": 8192}, 8192),
        (
            {
                "model_type": "deberta-v2",
                "max_position_embeddings": 512,
                "relative_attention": True,
                "position_biased_input": False,
            },
            None,
        ),
        ({"model_type": "xlnet"}, None),
    ],
)
def test_a_text_longer_than_the_positions_is_refused(config: dict[str, Any], most: int | None) -> None:
    if most is None:
        refuse_longer(config, 8192, "it")
        return
    refuse_longer(config, most, "it")
    with pytest.raises(BadInput, match=rf"seen {most + 1}, but 'it' takes at most {most} tokens; set it"):
        refuse_longer(config, most + 1, "it")


def test_what_has_no_counterpart_is_refused_with_what_to_do() -> None:
    many = tuple(f"label {number}" for number in range(16))
    card: Any = HeadCard(kind="multiclass", labels=many, temperature=1.0, thresholds=None, metric="accuracy")
    with pytest.raises(NotStock, match=r"seen 16 labels.*room for 15"):
        stock_classifier(small_network("bert", {"topic": 16}), "topic", card)
    network = small_network("bert", {"topic": 16})
    network.encoder.config.model_type = "another"
    with pytest.raises(NotStock, match=r"'another'.*bert, roberta"):
        stock_classifier(network, "topic", card)
