"""Attention with relative or rotary positions as one operator of the engines.

Their own fusions know attention whose scores are a product of queries and keys alone. Where something is
added to the scores (DeBERTa's positions, ModernBERT's mask), or queries and keys are turned before
(ModernBERT), the operator takes that as its `attention_bias` and as keys of four axes. A pattern that is not
known stays as it is. Knows nodes only, no kind of encoder. Axes: B texts, S tokens, N attention heads, H
numbers of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto

DOMAIN = "com.microsoft"
TO_HEADS = [0, 2, 1, 3]
"""Between (B, S, N, H) and (B, N, S, H)."""


def fuse_attention(model: ModelProto, heads: int) -> int:
    """Replace each attention that is known by one operator; how many were.

    Args:
        heads: N.
    """
    done = 0
    for softmax in [node for node in model.graph.node if node.op_type == "Softmax"]:
        found = _match(_Nodes(model.graph), softmax)
        if found is not None:
            _replace(model.graph, found, heads, f"attention_{done}")
            done += 1
    if done:
        _prune(model.graph)
        if DOMAIN not in {entry.domain for entry in model.opset_import}:
            model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    return done


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attention:
    """What one attention is made of, by the names of tensors."""

    query: str
    key: str
    value: str
    of_heads: bool
    """Whether query, key and value have the axes B, N, S, H; else B, S, N·H."""
    divisor: str
    """By which keys are divided; empty for none."""
    scale: float
    bias: str
    """What is added to the scores: B or 1, N or 1, S, S; or B·N, S, S where `shape` is named."""
    shape: str
    """Shape that the bias gets before the mask; empty where it has it."""
    masked: tuple[str, str]
    """(Where it is masked, with which number); empty names where the bias holds the mask."""
    scores: str
    output: str
    """B, S, N·H."""


@dataclass(slots=True)
class _Nodes:
    """Who makes and who takes each tensor."""

    graph: GraphProto
    makers: dict[str, NodeProto] = field(default_factory=dict)
    users: dict[str, list[NodeProto]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.makers.update((name, node) for node in self.graph.node for name in node.output)
        for node in self.graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)

    def maker(self, name: str, kind: str) -> NodeProto | None:
        """The node of this kind that makes a tensor; None for another one."""
        node = self.makers.get(name)
        return node if node is not None and node.op_type == kind else None

    def user(self, name: str, kind: str) -> NodeProto | None:
        """The one node that takes a tensor, shapes aside, if it is of this kind."""
        found = [node for node in self.users.get(name, ()) if node.op_type != "Shape"]
        return found[0] if len(found) == 1 and found[0].op_type == kind else None

    def past(self, name: str, kind: str) -> str:
        """What a tensor was before a node of this kind; itself where there is none."""
        node = self.maker(name, kind)
        return name if node is None else str(node.input[0])

    def number(self, name: str) -> float | None:
        """A constant of one number."""
        node = self.maker(name, "Constant")
        held = node.attribute[0].t if node is not None else None
        held = held or next((one for one in self.graph.initializer if one.name == name), None)
        values = None if held is None else onnx.numpy_helper.to_array(held).ravel()
        return float(values[0]) if values is not None and values.size == 1 else None

    def turned(self, name: str, order: list[int]) -> str | None:
        """What a tensor was before its axes were put into this order; None where they were not."""
        node = self.maker(name, "Transpose")
        return str(node.input[0]) if node is not None and _order(node) == order else None


def _match(nodes: _Nodes, softmax: NodeProto) -> _Attention | None:
    """The attention around a softmax, as far as it is known."""
    weighted = nodes.user(softmax.output[0], "MatMul") or _after_reshape(nodes, softmax.output[0])
    output = None if weighted is None else _output(nodes, str(weighted.output[0]))
    where = nodes.maker(softmax.input[0], "Where")
    scores = str(softmax.input[0] if where is None else where.input[2])
    reshaped = nodes.maker(scores, "Reshape")
    added = nodes.maker(nodes.past(scores, "Reshape"), "Add")
    if weighted is None or output is None or added is None or (where is None) != (reshaped is None):
        return None
    for first, bias in (added.input, reversed(added.input)):
        product, scale = _scaled(nodes, str(first))
        sides = None if product is None else _sides(nodes, product, str(weighted.input[1]))
        if sides is not None:
            return _Attention(
                **sides,
                scale=scale,
                bias=str(bias),
                shape="" if reshaped is None else str(reshaped.input[1]),
                masked=("", "") if where is None else (str(where.input[0]), str(where.input[1])),
                scores=str(added.output[0]),
                output=output,
            )
    return None


def _after_reshape(nodes: _Nodes, name: str) -> NodeProto | None:
    reshape = nodes.user(name, "Reshape")
    return None if reshape is None else nodes.user(reshape.output[0], "MatMul")


def _output(nodes: _Nodes, name: str) -> str | None:
    """Where the heads' results stand side by side again: B, S, N·H."""
    reshape = nodes.user(name, "Reshape")
    turned = nodes.user(name if reshape is None else reshape.output[0], "Transpose")
    if turned is None or _order(turned) != TO_HEADS:
        return None
    joined = nodes.user(turned.output[0], "Reshape")
    return None if joined is None else str(joined.output[0])


def _scaled(nodes: _Nodes, name: str) -> tuple[NodeProto | None, float]:
    """The product of queries and keys, and the number that it is multiplied by."""
    times = nodes.maker(name, "Mul")
    number = None if times is None else nodes.number(times.input[1])
    if times is not None and number is not None:
        return nodes.maker(times.input[0], "MatMul"), number
    return nodes.maker(name, "MatMul"), 1.0


def _sides(nodes: _Nodes, product: NodeProto, value: str) -> dict[str, Any] | None:
    """Query, key and value of a product."""
    query, turned = map(str, product.input)
    divided = nodes.maker(turned, "Div")
    divisor = "" if divided is None else str(divided.input[1])
    turned = nodes.past(turned, "Div")
    if (key := nodes.turned(turned, [0, 1, 3, 2])) is not None:  # of the axes B, N, S, H
        known = {"query": query, "key": key, "value": value, "of_heads": True}
        return {**known, "divisor": divisor}
    if (key := nodes.turned(turned, [0, 2, 1])) is not None:  # of the axes B·N, S, H
        sides = {"query": query, "key": key, "value": value}
        apart = {side: _before_heads(nodes, name) for side, name in sides.items()}
        if None not in apart.values():
            return {**apart, "of_heads": False, "divisor": divisor}
    return None


def _before_heads(nodes: _Nodes, name: str) -> str | None:
    """A tensor (B·N, S, H) as it was before: B, S, N·H."""
    turned = nodes.turned(nodes.past(name, "Reshape"), TO_HEADS)
    reshape = None if turned is None else nodes.maker(turned, "Reshape")
    return None if reshape is None else str(reshape.input[0])


def _order(node: NodeProto) -> list[int]:
    return [int(axis) for attribute in node.attribute if attribute.name == "perm" for axis in attribute.ints]


def _replace(graph: GraphProto, found: _Attention, heads: int, name: str) -> None:
    """Put the operator in the place of the nodes that make its output."""
    made: list[NodeProto] = []

    def add(kind: str, inputs: list[str], **attributes: Any) -> str:
        output = f"{name}/{kind}_{len(made)}"
        made.append(onnx.helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    query, key, bias = found.query, found.key, found.bias
    if found.of_heads:
        flat = onnx.numpy_helper.from_array(np.array([0, 0, -1], dtype=np.int64), f"{name}/flat")
        graph.initializer.append(flat)
        query = add("Reshape", [add("Transpose", [query], perm=TO_HEADS), flat.name])
    if found.divisor:
        key = add("Div", [key, found.divisor])
    if found.shape:
        bias = add("Reshape", [bias, found.shape])
    if found.masked[0]:
        bias = add("Where", [*found.masked, bias])
    for node in graph.node:  # the scores are not made any more: shapes are read where they are the same
        if node.op_type == "Shape" and node.input[0] == found.scores:
            node.input[0] = found.bias
        for at, output in enumerate(node.output):
            if output == found.output:
                node.output[at] = f"{name}/unused"
    operator = onnx.helper.make_node(
        "MultiHeadAttention",
        [query, key, found.value, "", "", bias],
        [found.output],
        name=name,
        domain=DOMAIN,
        num_heads=heads,
        scale=found.scale,
    )
    graph.node.extend([*made, operator])
    _sort(graph)


def _sort(graph: GraphProto) -> None:
    """Nodes after those whose outputs they take."""
    known = {"", *(one.name for one in (*graph.input, *graph.initializer))}
    waiting, ordered = list(graph.node), list[NodeProto]()
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise ValueError("the graph's nodes depend on each other in a circle")
        ordered += ready
        known.update(name for node in ready for name in node.output)
        waiting = [node for node in waiting if not known.issuperset(node.output)]
    copies = [NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)


def _prune(graph: GraphProto) -> None:
    """Leave out nodes and tensors that nothing is made of."""
    makers = {name: node for node in graph.node for name in node.output}
    wanted, open_names = set[str](), [one.name for one in graph.output]
    while open_names:
        name = open_names.pop()
        if name not in wanted:
            wanted.add(name)
            open_names += list(makers[name].input) if name in makers else []
    for node in [one for one in graph.node if not wanted.intersection(one.output)]:
        graph.node.remove(node)
    for tensor in [one for one in graph.initializer if one.name not in wanted]:
        graph.initializer.remove(tensor)
