"""Looks through a graph's weights for values that are not finite, before the bundle is hashed and signed.

Does not know heads, and runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx


def first_nonfinite(model: onnx.ModelProto) -> str | None:
    """Name of the first tensor with a value that is NaN or infinite; none if there is no such tensor.

    A tensor of one number may be infinite, because graphs write attention masks that way.
    """
    for tensor in _tensors(model):
        if tensor.data_type == onnx.TensorProto.STRING:
            continue
        # float64 holds every floating type, bfloat16 included; whole numbers are always finite.
        values = onnx.numpy_helper.to_array(tensor)
        if np.issubdtype(values.dtype, np.integer) or values.dtype == np.bool_:
            continue
        values = values.astype(np.float64)
        if not np.isfinite(values).all() and (values.size > 1 or np.isnan(values).any()):
            return tensor.name or "(unnamed)"
    return None


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor: initializers, and those in attributes of nodes, sub-graphs and functions included."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _of_node(node)


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        yield from _of_node(node)


def _of_node(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        # An attribute that is not a tensor has an empty one here.
        yield from (t for t in (attribute.t, *attribute.tensors) if t.data_type)
        for graph in (attribute.g, *attribute.graphs):
            yield from _of_graph(graph)
