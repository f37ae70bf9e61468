"""From a fitted network to an ONNX graph: traced, fused, checked against the network.

Knows nothing of texts, bundles or files beyond a scratch folder. Axes: B texts, T tokens, L labels of
one head.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ..bundle.graph import HEADS_ENTRY, INPUTS, output_name, session_options
from ..bundle.telemetry import load_engine
from ..cache import CacheEntry
from ..code import code_digest, dependencies
from ..digest import digest
from ..errors import ModelError
from ..train.network import MultiHeadNetwork
from .attention import fuse_attention
from .template import filled_graph

OPSET = 17
"""First opset with LayerNormalization, which the fusions look for; any runtime of the last years reads it."""
LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime")
"""Libraries that decide what graph a network becomes."""
PARITY = 1e-4
"""Largest difference of a float32 logit between torch and the graph."""


class ExportError(ModelError):
    """The graph differs from the network, or holds weights that are not finite; nothing was packaged."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A checked float32 graph."""

    model: onnx.ModelProto
    difference: float
    """Largest difference of a logit to torch, over several shapes with and without padding."""
    fused: bool
    """Whether attention and layer norms were fused; a graph that is not fused is right, but slower."""


class _Traced(nn.Module):
    """Gives the logits as a tuple in the order of the heads, as tracing needs."""

    def __init__(self, network: MultiHeadNetwork, heads: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.head_names = tuple(heads)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        logits = self.network(input_ids, attention_mask)
        return tuple(logits[head] for head in self.head_names)


def architecture_key(description: Mapping[str, Any]) -> str:
    """Everything that a graph depends on but the weights and the labels' names, as one digest.

    Args:
        description: of the network (`model.train.network.describe_network`).
    """
    heads = [(name, len(head["labels"])) for name, head in description["heads"].items()]
    versions = {name: dependencies().get(name) for name in LIBRARIES}
    made_of = (description["encoder"], description["pooling"], heads, OPSET, versions, code_digest())
    return digest("graph", *made_of)


def export_graph(
    network: MultiHeadNetwork,
    labels: Mapping[str, Sequence[str]],
    *,
    max_length: int,
    scratch: Path,
    template: CacheEntry | None = None,
) -> Graph:
    """The network as a float32 graph with free axes B and T.

    Args:
        network: in evaluation mode, with eager attention (others are not recognised by the fusions).
        labels: head → its labels, in the order of the outputs.
        max_length: longest text in tokens; the graph is checked up to it.
        scratch: folder for intermediate files.
        template: where the graph of the architecture is kept (`architecture_key`); none: it is traced anew.

    Raises:
        ExportError: opset, shapes or weights are wrong, or the graph differs from the network by more
            than `PARITY`.
    """
    samples = sample_inputs(network, max_length)

    def traced_and_fused(network: MultiHeadNetwork) -> onnx.ModelProto:
        trace(network, labels, scratch / "traced.onnx")
        model = fuse(network, scratch / "traced.onnx")
        _check(model, labels)
        return model

    if template is not None and (filled := filled_graph(template, network, traced_and_fused)) is not None:
        difference = largest_difference(network, labels, filled, samples)
        if difference <= PARITY:
            mark_heads(filled, labels)
            return Graph(filled, difference, fused=True)
    traced = trace(network, labels, scratch / "traced.onnx")
    fused = fuse(network, scratch / "traced.onnx")
    difference = largest_difference(network, labels, fused, samples)
    chosen, was_fused = fused, True
    if not difference <= PARITY:  # the fusions took a pattern for another one
        chosen, was_fused = traced, False
        difference = largest_difference(network, labels, traced, samples)
        if not difference <= PARITY:
            raise ExportError(
                f"the ONNX graph differs from the network by {difference:.2g}, expected at most {PARITY:g}; "
                "this encoder cannot be exported by tracing"
            )
    _check(chosen, labels)
    mark_heads(chosen, labels)
    return Graph(chosen, difference, was_fused)


def mark_heads(model: onnx.ModelProto, labels: Mapping[str, Sequence[str]]) -> None:
    """Write the heads' labels into the graph's metadata, where the bundle looks for them."""
    text = json.dumps({head: list(names) for head, names in labels.items()}, ensure_ascii=False)
    onnx.helper.set_model_props(model, {HEADS_ENTRY: text})


def trace(network: MultiHeadNetwork, labels: Mapping[str, Sequence[str]], path: Path) -> onnx.ModelProto:
    """The network as a graph without fusions, written to `path`."""
    ids = torch.arange(2 * 7).reshape(2, 7) % int(network.encoder.config.vocab_size)  # type: ignore[union-attr, arg-type]
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0  # with padding, so that no shortcut for full rows is recorded
    outputs = [output_name(head) for head in labels]
    axes = {name: {0: "batch", 1: "sequence"} for name in INPUTS}
    with torch.no_grad(), warnings.catch_warnings():
        # The tracing exporter is deprecated, but the fusions do not recognise the graph of its successor: no
        # attention is fused, which doubles the time at 32 tokens. Other warnings are about shapes, which
        # `_check` checks.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Traced(network, tuple(labels)).eval(),
            (ids, mask),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=outputs,
            dynamic_axes={**axes, **{name: {0: "batch"} for name in outputs}},
        )
    return onnx.load(path)


def fuse(network: MultiHeadNetwork, path: Path) -> onnx.ModelProto:
    """The graph in `path` with attention and layer norms fused."""
    load_engine()  # first: its own modules import it
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    config = network.encoder.config
    options = FusionOptions("bert")
    # Not the fused `Attention`, which hides the projections from 8-bit weights (`model.export.quantise`).
    options.use_multi_head_attention = True
    fused = optimizer.optimize_model(
        str(path),
        model_type="bert",
        num_heads=int(config.num_attention_heads),  # type: ignore[union-attr, arg-type]
        hidden_size=int(config.hidden_size),  # type: ignore[union-attr, arg-type]
        optimization_options=options,
        opt_level=0,
    )
    result = path.with_name("fused.onnx")
    fused.save_model_to_file(str(result))  # sorts the nodes and declares the operators' domain
    model = onnx.load(result)
    fuse_attention(model, heads=int(config.num_attention_heads))  # type: ignore[union-attr, arg-type]
    return model


def sample_inputs(network: MultiHeadNetwork, max_length: int) -> list[tuple[Tensor, Tensor]]:
    """Random token ids of shapes other than the traced one: one token, the longest, ragged rows."""
    rng = torch.Generator().manual_seed(17)
    vocabulary = int(network.encoder.config.vocab_size)  # type: ignore[union-attr, arg-type]
    found = []
    for rows, tokens in ((1, 1), (1, max_length), (3, max(2, max_length // 4)), (5, 3)):
        ids = torch.randint(0, vocabulary, (rows, tokens), generator=rng)
        lengths = torch.randint(1, tokens + 1, (rows, 1), generator=rng)
        lengths[0] = tokens
        found.append((ids, (torch.arange(tokens)[None] < lengths).long()))
    return found


def largest_difference(
    network: MultiHeadNetwork,
    labels: Mapping[str, Sequence[str]],
    model: onnx.ModelProto,
    samples: Sequence[tuple[Tensor, Tensor]],
) -> float:
    """Largest absolute difference of a logit; infinite if one is not finite."""
    threads = torch.get_num_threads()
    session = load_engine().InferenceSession(
        model.SerializeToString(), session_options(threads), providers=["CPUExecutionProvider"]
    )
    worst = 0.0
    for ids, mask in samples:
        with torch.no_grad():
            expected = network(ids, mask)
        feed = {INPUTS[0]: ids.numpy(), INPUTS[1]: mask.numpy()}
        for head, seen in zip(labels, session.run([output_name(h) for h in labels], feed), strict=True):
            distance = float(np.abs(expected[head].numpy() - seen).max())
            worst = max(worst, distance if np.isfinite(distance) else np.inf)
    return worst


def _check(model: onnx.ModelProto, labels: Mapping[str, Sequence[str]]) -> None:
    onnx.checker.check_model(model)
    opset = {entry.domain: entry.version for entry in model.opset_import}.get("")
    if opset != OPSET:
        raise ExportError(f"the graph has opset {opset}, expected {OPSET}")
    seen = {}
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        seen[value.name] = tuple(dim.dim_param or dim.dim_value for dim in dims)
    expected: dict[str, tuple[str | int, ...]] = dict.fromkeys(INPUTS, ("batch", "sequence"))
    expected |= {output_name(head): ("batch", len(names)) for head, names in labels.items()}
    if seen != expected:
        raise ExportError(f"the graph has inputs and outputs {seen}, expected {expected}")
