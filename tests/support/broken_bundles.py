"""Copies of a real bundle with one thing wrong, for the gates to find: whole bundles, sealed, that load.

Only the end of the graph is changed: what a head gives passes through one more node. So any bundle will do,
float32 or int8. Knows ONNX and the bundle's files; does not judge.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from model.bundle.card import SCHEMA_VERSION, card_from_json
from model.bundle.files import CARD, GOLDEN, LISTED, MANIFEST, MODEL, TOKENIZER
from model.bundle.graph import output_name
from model.bundle.reader import Bundle

MATRIX = 256
"""Side of the matrices that a slow copy multiplies for nothing."""
PUSH = 50.0
"""What is added to logits, and far beyond the logits of any model."""

Change = Callable[[ModelProto], None]


def broken_copy(bundle: Path, out: Path, change: Change) -> Path:
    """Copy a bundle to `out`, change its graph, and make golden set and manifest fit the result.

    Raises:
        model.bundle.errors.BundleError: the changed graph is no bundle any more.
    """
    shutil.copytree(bundle, out)
    model = onnx.load(out / MODEL)
    change(model)
    (out / MODEL).write_bytes(model.SerializeToString())
    return _sealed(out)


def with_thresholds(bundle: Path, out: Path, head: str, threshold: float) -> Path:
    """Copy a bundle to `out` with one threshold for all labels of a multilabel head."""
    shutil.copytree(bundle, out)
    card = json.loads((out / CARD).read_bytes())
    card["heads"][head]["thresholds"] = [threshold] * len(card["heads"][head]["labels"])
    (out / CARD).write_text(json.dumps(card), encoding="utf-8")
    return _sealed(out)


def _sealed(out: Path) -> Path:
    """The bundle with a golden set and a manifest that fit it."""
    card = card_from_json(json.loads((out / CARD).read_bytes()), where=CARD)
    made = Bundle.from_parts(out / MODEL, (out / TOKENIZER).read_bytes(), card)
    golden = json.loads((out / GOLDEN).read_bytes())
    answers = made.probabilities(golden["texts"])
    golden["probabilities"] = {head: rows.tolist() for head, rows in answers.items()}
    (out / GOLDEN).write_text(json.dumps(golden), encoding="utf-8")
    files = {}
    for name in LISTED:
        data = (out / name).read_bytes()
        files[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (out / MANIFEST).write_text(json.dumps({"schema_version": SCHEMA_VERSION, "files": files}))
    return out


def labels_shuffled(head: str, labels: int) -> Change:
    """The head gives each label the logit of its neighbour."""

    def change(model: ModelProto) -> None:
        order = numpy_helper.from_array(np.roll(np.arange(labels), 1), _fresh(model, "order"))
        _after(model, head, "Gather", [order], axis=1)

    return change


def weights_zeroed(head: str) -> Change:
    """The head gives 0 for every label, as one whose weights were lost would."""

    def change(model: ModelProto) -> None:
        nothing = numpy_helper.from_array(np.zeros(1, np.float32), _fresh(model, "nothing"))
        _after(model, head, "Mul", [nothing])

    return change


def bias_added(head: str, labels: int) -> Change:
    """The head's last label gets a large bias; with two labels or more the others lose by it."""

    def change(model: ModelProto) -> None:
        push = np.zeros(labels, np.float32)
        push[-1] = PUSH
        _after(model, head, "Add", [numpy_helper.from_array(push, _fresh(model, "push"))])

    return change


def slower(head: str, products: int) -> Change:
    """The same answers after `products` useless matrix products: a sleep, in the only language that a bundle
    speaks. A bundle holds no code that could sleep."""

    def change(model: ModelProto) -> None:
        idle = _fresh(model, "idle")
        size = numpy_helper.from_array(np.array([MATRIX, MATRIX], np.int64), f"{idle}_size")
        nothing = numpy_helper.from_array(np.zeros(1, np.float32), f"{idle}_nothing")
        nodes = [
            helper.make_node("Cast", ["attention_mask"], [f"{idle}_mask"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", [f"{idle}_mask"], [f"{idle}_most"], keepdims=0),
            # Zeros that depend on the input, or the runtime would work them out once and for all.
            helper.make_node("Mul", [f"{idle}_most", nothing.name], [f"{idle}_zero"]),
            helper.make_node("Expand", [f"{idle}_zero", size.name], [f"{idle}_0"]),
        ]
        turns = numpy_helper.from_array(np.array(products, np.int64), f"{idle}_turns")
        begun, done = [f"{idle}_0"], [f"{idle}_1"]
        nodes.append(helper.make_node("Loop", [turns.name, "", *begun], done, body=_product(idle)))
        nodes.append(helper.make_node("ReduceMax", done, [f"{idle}_end"], keepdims=0))
        model.graph.initializer.extend([size, nothing, turns])
        _after(model, head, "Add", [f"{idle}_end"], before=nodes)

    return change


def _product(idle: str) -> GraphProto:
    """The body of a loop: one product of what it is given and the matrix before the loop."""
    square = [MATRIX, MATRIX]
    return helper.make_graph(
        [
            helper.make_node("Identity", [f"{idle}_on"], [f"{idle}_still_on"]),
            helper.make_node("MatMul", [f"{idle}_in", f"{idle}_0"], [f"{idle}_out"]),
        ],
        f"{idle}_product",
        [
            helper.make_tensor_value_info(f"{idle}_turn", TensorProto.INT64, []),
            helper.make_tensor_value_info(f"{idle}_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info(f"{idle}_in", TensorProto.FLOAT, square),
        ],
        [
            helper.make_tensor_value_info(f"{idle}_still_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info(f"{idle}_out", TensorProto.FLOAT, square),
        ],
    )


def heavier(head: str, mebibytes: int) -> Change:
    """The same answers from a bundle that carries `mebibytes` of weights for nothing."""

    def change(model: ModelProto) -> None:
        name = _fresh(model, "ballast")
        numbers = (np.arange(mebibytes * 2**18) % 7).astype(np.float32)[
            :, None
        ]  # no two pages alike to spare
        ballast = numpy_helper.from_array(numbers, name)
        nothing = numpy_helper.from_array(np.zeros(1, np.float32), f"{name}_nothing")
        nodes = [
            # A row that depends on the input, or the runtime would pick it once and drop the rest.
            helper.make_node("ArgMin", ["input_ids"], [f"{name}_row"], axis=1, keepdims=0),
            helper.make_node("Gather", [name, f"{name}_row"], [f"{name}_picked"]),
            helper.make_node("Mul", [f"{name}_picked", nothing.name], [f"{name}_still"]),
        ]
        model.graph.initializer.extend([ballast, nothing])
        _after(model, head, "Add", [f"{name}_still"], before=nodes)

    return change


def _fresh(model: ModelProto, name: str) -> str:
    """A name that no part of the graph has yet: a copy may be made of a copy."""
    return f"{name}_{len(model.graph.node)}"


def _after(
    model: ModelProto,
    head: str,
    operator: str,
    others: Iterable[TensorProto | str],
    *,
    before: Iterable[NodeProto] = (),
    **attributes: int,
) -> None:
    """Let a head's output pass through one more node, which takes it and `others`."""
    output, sound = output_name(head), _fresh(model, f"{head}_sound")
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name == output:
                node.output[index] = sound
        for index, name in enumerate(node.input):
            if name == output:
                node.input[index] = sound
    names = []
    for other in others:
        if isinstance(other, TensorProto):
            model.graph.initializer.append(other)
        names.append(other if isinstance(other, str) else other.name)
    model.graph.node.extend(before)
    model.graph.node.append(helper.make_node(operator, [sound, *names], [output], **attributes))
