"""From a bundle's graph back to the network: which constant of the graph is which weight.

A network of the same form whose weights are all different random numbers is exported once more. Where one of
its weights stands in that graph, at an input of a node, the bundle's weight stands at the same input of the
node of the same name. 8-bit weights are multiplied by their scales. Whether the network is the right one is
for the bundle's golden answers to say (`model.export.hub.huggingface`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from ...train.network import MultiHeadNetwork
from ..graph import ExportError, fuse, trace

ZERO = 128
"""Of the products' 8-bit weights: the byte that stands for 0."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a weight stands."""

    node: str
    at: int
    """Which input of the node."""
    transposed: bool = False
    part: int | None = None
    """Which of several vectors of one length that were joined; None: the constant is the whole weight."""


def read_back(
    model: onnx.ModelProto,
    network: MultiHeadNetwork,
    labels: Mapping[str, Sequence[str]],
    *,
    fused: bool,
    scratch: Path,
) -> None:
    """Put the weights that a bundle's graph holds into `network`.

    Args:
        model: the bundle's graph, in float32 or int8.
        network: of the bundle's form, in evaluation mode, with eager attention; its weights are replaced.
        labels: head → its labels, in the order of the outputs.
        fused: whether the bundle's graph was fused.
        scratch: folder for intermediate files.

    Raises:
        ExportError: a weight is not found in the graph.
    """
    places = _places(network, labels, fused=fused, scratch=scratch)
    graph = _Graph(model)
    state = network.state_dict()
    with torch.no_grad():
        for name, place in places.items():
            state[name].copy_(
                torch.from_numpy(np.ascontiguousarray(graph.weight(name, place, state[name].shape)))
            )


def _places(
    network: MultiHeadNetwork, labels: Mapping[str, Sequence[str]], *, fused: bool, scratch: Path
) -> dict[str, _Place]:
    """Weight → where it stands in graphs of this form."""
    rng = torch.Generator().manual_seed(23)
    with torch.no_grad():
        for weight in network.state_dict().values():
            if weight.is_floating_point():
                weight.copy_(torch.rand(weight.shape, generator=rng) - 0.5)
    model = trace(network, labels, scratch / "places.onnx")
    if fused:
        model = fuse(network, scratch / "places.onnx")
    wanted = {_digest(weight.numpy()): name for name, weight in network.state_dict().items()}
    tables = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    readings = {name: list(_readings(table)) for name, table in tables.items()}
    found: dict[str, _Place] = {}
    for node in model.graph.node:
        for at, given in enumerate(node.input):
            for key, transposed, part in readings.get(given, ()):
                if key in wanted:
                    found.setdefault(wanted[key], _Place(node.name, at, transposed, part))
    if lacking := sorted(set(wanted.values()) - set(found)):
        raise ExportError(
            f"{len(lacking)} of the weights can't be read from the bundle's graph, such as {lacking[0]}; "
            "this encoder can't be exported from a bundle"
        )
    return found


def _readings(table: Array) -> Iterator[tuple[str, bool, int | None]]:
    """(Digest, whether transposed, which part) of all that a constant may hold."""
    yield _digest(table), False, None
    if table.ndim == 2:
        yield _digest(table.T), True, None
    if table.ndim == 1 and table.size % 3 == 0:  # the biases of queries, keys and values
        for part, vector in enumerate(np.split(table, 3)):
            yield _digest(vector), False, part


def _digest(table: Array) -> str:
    return f"{table.shape} {hashlib.sha256(np.ascontiguousarray(table).tobytes()).hexdigest()}"


class _Graph:
    """A bundle's graph, by names."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._tables = {tensor.name: tensor for tensor in model.graph.initializer}
        self._nodes = {node.name: node for node in model.graph.node}
        self._makers = {output: node for node in model.graph.node for output in node.output}

    def weight(self, name: str, place: _Place, shape: torch.Size) -> Array:
        table = self._at(place.node, place.at)
        if table is not None and place.part is not None:
            table = np.split(table, 3)[place.part]
        if table is not None and place.transposed:
            table = table.T
        if table is None or table.shape != tuple(shape):
            raise ExportError(
                f"weight {name} is not where graphs of this form have it; the bundle was made with other "
                "versions of torch or transformers. Train again, or export with the versions that its card "
                "names"
            )
        return table.astype(np.float32)

    def _at(self, name: str, at: int) -> Array | None:
        """The constant at an input of a node, or of what the quantiser made of the node."""
        if (node := self._nodes.get(name) or self._nodes.get(f"{name}_quant")) is not None:
            return self._constant(node.input[at])
        if (node := self._nodes.get(f"{name}_Q8")) is not None:
            return self._product(node)
        if at == 1 and (node := self._nodes.get(f"{name}_MatMul")) is not None:
            product = self._constant(node.input[1])
            return None if product is None else product.T
        if at == 2 and (node := self._nodes.get(f"{name}_Add")) is not None:
            return self._constant(node.input[1])
        return None

    def _constant(self, name: str) -> Array | None:
        maker = self._makers.get(name)
        if maker is not None and maker.op_type == "DequantizeLinear":
            return self._dequantised(*maker.input)
        stem = name.removesuffix("_quantized")
        if stem != name:  # rows are looked up first and multiplied afterwards
            return self._dequantised(name, f"{stem}_scale", f"{stem}_zero_point")
        return self._table(name)

    def _dequantised(self, *names: str) -> Array | None:
        values = [self._table(name) for name in names]
        if any(value is None for value in values):
            return None
        whole, scale, zero = (np.asarray(value, np.float32) for value in values)
        return (whole - zero) * scale

    def _product(self, node: onnx.NodeProto) -> Array | None:
        """The weights of an 8-bit matrix product, (K, N)."""
        size = {one.name: one.i for one in node.attribute}
        blocks, scales = self._table(node.input[1]), self._table(node.input[2])
        if blocks is None or scales is None:
            return None
        rows = blocks.reshape(size["N"], -1, size["block_size"]).astype(np.float32) - ZERO
        values = rows * scales.reshape(size["N"], -1, 1)
        return np.asarray(values.reshape(size["N"], -1)[:, : size["K"]].T)

    def _table(self, name: str) -> Array | None:
        tensor = self._tables.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)
