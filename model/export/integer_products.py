"""From a float32 graph to ones whose products have 8-bit weights with one scale a column.

By `rows`, the activations become 8-bit too, with one scale a row, found anew for each: a row is one token of
one text, so neither padding nor the other texts of a batch have a part in it. Standard operators only. By
`columns`, only the weights are 8-bit in the file; the engine decides how it multiplies. The heads stay
float32 in both. Does not run graphs.

Axes: K inputs and N outputs of a product, whose weights are (K, N).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from .quantise import head_products

STEPS = 127
"""Steps of 8 bits on either side of zero."""
ROWS_STEPS = 64
"""Steps of a weight that is multiplied by an 8-bit activation: two products of at most 255 × 64 fit into 16
bits. A processor without VNNI adds them there and cuts what does not fit: with 127 steps nearly every product
of large numbers was wrong, and one file answered otherwise on two processors. Root mean square error of
MiniLM's logits, in parts of their spread: 0.099 with 127 steps where nothing is cut, 0.112 where it is, 0.110
with 64 everywhere."""
ZERO = 128
"""What stands for zero in activations, which are unsigned: the products of unsigned with signed 8-bit numbers
are those that processors have (signed with signed took 20 times as long)."""
LEAST = 1e-12
"""Smallest largest magnitude of a row, so that a row of zeros has a scale."""

Product = Callable[[NodeProto, str, str], list[NodeProto]]
"""The nodes that take a product's place, from it and the names of its 8-bit weights and their scales."""


def by_rows(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which each product is one of 8-bit numbers; products of one input share its rounding."""
    named: dict[str, np.generic] = {
        "rows_steps": np.float32(STEPS),
        "rows_least": np.float32(LEAST),
        "rows_zero": np.float32(ZERO),
        "rows_zero_point": np.uint8(ZERO),
    }
    rounded: dict[str, str] = {}

    def product(node: NodeProto, weights: str, scales: str) -> list[NodeProto]:
        given, out = node.input[0], node.output[0]
        nodes = []
        if given not in rounded:
            rounded[given] = f"rows_{len(rounded)}"
            nodes += _rounding(given, rounded[given])
        of_rows = rounded[given]
        whole, real, scaled = f"{out}_whole", f"{out}_real", f"{out}_scaled"
        return [
            *nodes,
            _node("MatMulInteger", [of_rows, weights, "rows_zero_point"], whole),
            _node("Cast", [whole], real, to=TensorProto.FLOAT),
            _node("Mul", [real, scales], scaled),
            _node("Mul", [scaled, f"{of_rows}_scale"], out),
        ]

    return _with_products(model, product, named, ROWS_STEPS)


def by_columns(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose products read their weights through `DequantizeLinear`."""

    def product(node: NodeProto, weights: str, scales: str) -> list[NodeProto]:
        wide = f"{weights}_wide"
        return [
            _node("DequantizeLinear", [weights, scales], wide, axis=1),
            _node("MatMul", [node.input[0], wide], node.output[0]),
        ]

    return _with_products(model, product, {}, STEPS)


def _rounding(given: str, of_rows: str) -> list[NodeProto]:
    """`given` (…, K) as unsigned 8-bit numbers `of_rows`, and their scales (…, 1) as `of_rows_scale`."""
    part = {
        name: f"{of_rows}_{name}" for name in ("size", "most", "some", "scale", "steps", "whole", "moved")
    }
    return [
        _node("Abs", [given], part["size"]),
        _node("ReduceMax", [part["size"]], part["most"], axes=[-1], keepdims=1),
        _node("Max", [part["most"], "rows_least"], part["some"]),
        _node("Div", [part["some"], "rows_steps"], part["scale"]),
        _node("Div", [given, part["scale"]], part["steps"]),
        _node("Round", [part["steps"]], part["whole"]),
        _node("Add", [part["whole"], "rows_zero"], part["moved"]),
        _node("Cast", [part["moved"]], of_rows, to=TensorProto.UINT8),
    ]


def _with_products(
    model: onnx.ModelProto, product: Product, named: Mapping[str, np.generic], steps: int
) -> onnx.ModelProto:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    tables = {tensor.name: tensor for tensor in graph.initializer}
    heads = set(head_products(model))
    nodes: list[NodeProto] = []
    made: dict[str, list[TensorProto]] = {}
    for node in graph.node:
        weights = tables.get(node.input[1]) if node.op_type == "MatMul" else None
        if weights is None or len(weights.dims) != 2 or node.name in heads:
            nodes.append(node)
            continue
        name = weights.name
        if name not in made:
            small, scales = _columns(numpy_helper.to_array(weights), steps)
            made[name] = [
                numpy_helper.from_array(small, f"{name}_small"),
                numpy_helper.from_array(scales, f"{name}_scales"),
            ]
        nodes += product(node, f"{name}_small", f"{name}_scales")
    still_read = {name for node in nodes for name in node.input}
    _replace(graph.initializer, [t for t in graph.initializer if t.name not in made or t.name in still_read])
    graph.initializer.extend(tensor for pair in made.values() for tensor in pair)
    graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in named.items())
    _replace(graph.node, nodes)
    return changed


def _columns(weights: NDArray[np.float32], steps: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(K, N) weights → 8-bit (K, N), at most `steps` on either side of zero, and scales (N,)."""
    scales = np.abs(weights).max(0) / steps
    scales = np.where(scales > 0, scales, 1.0).astype(np.float32)
    return np.rint(weights / scales).astype(np.int8), scales


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: object) -> NodeProto:
    node: NodeProto = helper.make_node(kind, inputs, [output], name=f"{output}_{kind}", **attributes)
    return node


def _replace(field: object, values: Sequence[object]) -> None:
    kept = list(values)
    del field[:]  # type: ignore[attr-defined]
    field.extend(kept)  # type: ignore[attr-defined]
