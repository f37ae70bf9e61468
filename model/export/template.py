"""A graph without its weights, kept for all models of one architecture: traced and fused once.

A *probe*, a copy of the network with other numbers in every parameter, is traced and fused. Each of the
graph's tensors that holds parameters is then known by them: as they are, transposed, or several in a row.
What is kept is the graph without those numbers, and of which parameters each tensor is made. Filling a
model's in takes a tenth of the time of tracing. That nothing was overlooked is for who compares the filled
graph with its network (`model.export.graph`). Does not know how a graph is traced."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..cache import CacheEntry
from ..faults import fault
from ..files import read_json, write_json
from ..train.network import MultiHeadNetwork

GRAPH, MADE_OF = "graph.onnx", "made_of.json"
SEED = 17
Form = Literal["same", "transposed"]
Parts = list[tuple[str, Form]]
"""Parameters whose numbers stand in a tensor, one after the other."""
Floats = NDArray[np.float32]


def filled_graph(
    entry: CacheEntry, network: MultiHeadNetwork, traced: Callable[[MultiHeadNetwork], onnx.ModelProto]
) -> onnx.ModelProto | None:
    """The graph of an architecture with the network's weights; None where its tensors can't be known by the
    parameters.

    Args:
        entry: where the template is kept, or will be: named by all that the graph depends on but the weights.
        traced: gives the graph of a network.
    """
    with entry.making() as folder:
        if folder is not None:
            _make(folder, network, traced)
            fault("template_written")
    if folder is not None:
        fault("template_made")
    made_of: dict[str, Parts] | None = read_json(entry.folder / MADE_OF)["tensors"]
    if made_of is None:
        return None
    model = onnx.load(entry.folder / GRAPH)
    parameters = _parameters(network)
    for tensor in model.graph.initializer:
        if tensor.name in made_of:
            parts = [_formed(parameters[name], form) for name, form in made_of[tensor.name]]
            tensor.raw_data = b"".join(part.tobytes() for part in parts)
    return model


def _make(
    folder: Path, network: MultiHeadNetwork, traced: Callable[[MultiHeadNetwork], onnx.ModelProto]
) -> None:
    probe = _probe(network)
    model = traced(probe)
    made_of = _made_of(model, _parameters(probe))
    if made_of is not None:
        for tensor in model.graph.initializer:
            if tensor.name in made_of:
                tensor.ClearField("float_data")
                tensor.raw_data = b""
        onnx.save(model, folder / GRAPH)
    write_json(folder / MADE_OF, {"tensors": made_of})


def _probe(network: MultiHeadNetwork) -> MultiHeadNetwork:
    """A copy with a number in each place of a parameter that is nowhere else: equal ones would be merged, and
    could not be told apart."""
    probe, rng = copy.deepcopy(network), torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in probe.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))
    return probe.eval()


def _parameters(network: MultiHeadNetwork) -> dict[str, Tensor]:
    return {name: each.detach().float() for name, each in network.named_parameters()}


def _formed(parameter: Tensor, form: Form) -> Floats:
    values: Floats = parameter.numpy()
    return np.ascontiguousarray(values.T if form == "transposed" else values)


def _made_of(model: onnx.ModelProto, parameters: Mapping[str, Tensor]) -> dict[str, Parts] | None:
    """Tensor → its parameters, of tensors that hold any; None where a parameter is in no tensor, and so may
    be in one in a form that is not known."""
    forms: tuple[Form, ...] = ("same", "transposed")
    beginnings: dict[bytes, list[tuple[str, Form, bytes]]] = {}
    for name, parameter in parameters.items():
        for form in forms[: 2 if parameter.ndim == 2 else 1]:
            data = _formed(parameter, form).tobytes()
            beginnings.setdefault(data[:8], []).append((name, form, data))
    found: dict[str, Parts] = {}
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        parts = _parts(onnx.numpy_helper.to_array(tensor).tobytes(), beginnings)
        if parts:
            found[tensor.name] = parts
    known = {name for parts in found.values() for name, _ in parts}
    return found if known == set(parameters) else None


def _parts(data: bytes, beginnings: Mapping[bytes, list[tuple[str, Form, bytes]]]) -> Parts:
    """The parameters that a tensor's numbers are; none where there are others between them."""
    parts: Parts = []
    at = 0
    while at < len(data):
        fitting = [
            (name, form, piece)
            for name, form, piece in beginnings.get(data[at : at + 8], ())
            if data[at : at + len(piece)] == piece
        ]
        if not fitting:
            return []
        name, form, piece = max(fitting, key=lambda one: len(one[2]))
        parts.append((name, form))
        at += len(piece)
    return parts
