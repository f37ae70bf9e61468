"""The bundle is the network: parity, precision by measurement, whole or not at all."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from model.bundle.card import PRECISIONS, Precision
from model.bundle.graph import session_options
from model.bundle.reader import Bundle
from model.bundle.telemetry import load_engine
from model.errors import BadInput
from model.export import precision
from model.export.golden_texts import GOLDEN_TEXTS
from model.export.graph import OPSET, PARITY, ExportError, export_graph
from model.export.integer_products import by_columns, by_rows
from model.export.package import main, package
from model.export.precision import HeadFigures
from model.export.weights import first_nonfinite
from model.spec import PackageJob, PackageSpec
from model.train.network import load_fitted
from tests.support.tiny_models import bundle_in

LABELS = {"topic": ("weather", "food", "animal"), "names": ("sun", "tea", "cat", "fox")}


def test_the_bundle_answers_as_the_network(tiny_fitted: Path, tiny_bundles: dict[str, Path]) -> None:
    """Against plain torch with the other attention implementation, at shapes that were not traced."""
    fitted = load_fitted(tiny_fitted)
    bundle = Bundle.load(tiny_bundles["float32"], threads=1)
    for texts in (["sun"], ["fox " * 60, "cat", ""], ["tea milk"] * 9):
        encoding = bundle.encode(texts)
        with torch.no_grad():
            expected = fitted.network(
                torch.from_numpy(encoding.input_ids), torch.from_numpy(encoding.attention_mask)
            )
        for head, logits in bundle.run(encoding).items():
            assert np.abs(logits - expected[head].numpy()).max() <= PARITY


def test_eight_bits_are_near_and_small(tiny_bundles: dict[str, Path]) -> None:
    texts = list(GOLDEN_TEXTS)
    exact = Bundle.load(tiny_bundles["float32"], threads=1).probabilities(texts)
    rounded = Bundle.load(tiny_bundles["int8"], threads=1)
    assert rounded.card.precision == "int8"
    for head, values in rounded.probabilities(texts).items():
        off = np.abs(values - exact[head]).max()
        assert 0 < off < 0.03
    operators = {node.op_type for node in onnx.load(tiny_bundles["int8"] / "model.onnx").graph.node}
    assert "MatMulNBits" in operators
    assert "DynamicQuantizeLinear" not in operators, "activations of one text would be scaled by others'"


def test_a_network_that_depends_on_the_traced_shape_is_refused(tiny_fitted: Path, tmp_path: Path) -> None:
    network = load_fitted(tiny_fitted, attn_implementation="eager").network

    class Shifted(torch.nn.Module):
        def __init__(self, layer: torch.nn.Module) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, pooled: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.layer(pooled)
            return logits + float(pooled.shape[0])  # the traced number of rows becomes a constant

    network.heads["head_topic"] = Shifted(network.heads["head_topic"])
    with pytest.raises(ExportError, match="differs from the network by"):
        export_graph(network, LABELS, max_length=16, scratch=tmp_path)


def test_the_card_tells_where_it_comes_from_and_why_this_precision(tiny_bundles: dict[str, Path]) -> None:
    card = Bundle.load(tiny_bundles["int8"], threads=1).card
    assert card.provenance["dataset_fingerprint"] == "f" * 16
    assert card.provenance["torch_parity"] <= PARITY
    assert len(card.provenance["code_digest"]) == 64
    assert card.heads["names"].thresholds == (0.4,) * 4
    assert card.heads["topic"].temperature == 1.5
    assert set(card.metrics["validation"]) == {"topic", "names"}
    assert card.metrics["validation"] == card.metrics["validation_int8"]
    assert "validation_float32" not in card.metrics  # asked for int8: nothing to compare with


def test_the_fastest_that_costs_no_head_more_than_the_tolerance_ships(
    tiny_fitted: Path, tiny_rows: Path, tmp_path: Path
) -> None:
    job = PackageJob(fitted=tiny_fitted, out=tmp_path / "bundle", name="tiny", rows=tiny_rows, threads=1)
    strict = package(replace(job, package=PackageSpec(int8_tolerance=0.0))).card
    assert strict.threads == 1
    able = precision.candidates("auto")
    assert set(strict.provenance["speeds"]) == set(able) >= {"float32", "int8", "int8_rows"}
    assert strict.provenance["processor"]
    assert "tolerance 0" in strict.precision_reason
    kept = strict.metrics["validation"]
    for head, figures in strict.metrics["validation_float32"].items():
        for name in figures:
            assert kept[head][name] >= figures[name] - 1e-9


def test_a_precision_that_this_machine_lacks_is_not_packaged(
    tiny_fitted: Path, tiny_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    assert precision.candidates("auto") == ("float32", "int8", "int8_rows")
    wanted = PackageSpec(precision="openvino_int8")
    job = PackageJob(fitted=tiny_fitted, out=tmp_path / "b", name="tiny", rows=tiny_rows, package=wanted)
    with pytest.raises(BadInput, match=r"openvino is not installed here.*or `auto`"):
        package(job)


def test_openvino_is_left_out_where_it_would_hold_much_memory_unless_it_is_named() -> None:
    names = ("float32", "int8_rows", "openvino_int8")
    assert precision.affordable(names, 90_000_000) == names
    assert precision.affordable(names, 265_000_000) == names[:2]
    assert precision.affordable(names[2:], 265_000_000) == names[2:]


def figures(**values: float) -> HeadFigures:
    return {head: {"accuracy": value, "rows": 100.0} for head, value in values.items()}


def chosen(
    exact: HeadFigures, rounded: HeadFigures, tolerance: float, moved: float = 0.0
) -> precision.Choice:
    found = {"float32": exact, "int8": rounded}
    return precision.choose(["int8", "float32"], lambda name: found[name], lambda name: moved, tolerance)


def test_one_head_beyond_the_tolerance_decides_for_float32() -> None:
    exact = figures(a=0.9, b=0.8)
    assert chosen(exact, figures(a=0.896, b=0.9), 0.005).precision == "int8"
    refused = chosen(exact, figures(a=0.894, b=0.9), 0.005)
    assert refused.precision == "float32"
    assert "a accuracy 0.9000 in float32, 0.8940 in int8, on 100 validation rows" in refused.reason
    assert chosen(exact, figures(a=0.9), 0.005).precision == "float32"


def test_a_precision_whose_answers_depend_on_neighbours_does_not_ship() -> None:
    refused = chosen(figures(a=0.9), figures(a=0.9), 0.1, moved=0.05)
    assert refused.precision == "float32"
    assert "int8: neighbours in a batch move a probability by 0.05" in refused.reason


def test_a_text_decides_and_batches_decide_among_equals() -> None:
    speed = precision.Speed
    assert precision.by_speed(
        {
            "float32": speed(8.0, 80.0),
            "int8": speed(7.0, 75.0),
            "int8_rows": speed(4.2, 50.0),
            "openvino_int8": speed(4.0, 20.0),
            "openvino_bfloat16": speed(3.9, 20.5),
        }
    ) == ["openvino_int8", "openvino_bfloat16", "int8_rows", "int8", "float32"]


def test_the_rounding_of_rows_is_shared_and_exact_to_half_a_step() -> None:
    rng = np.random.default_rng(3)
    weights = {name: rng.normal(size=(24, 8)).astype(np.float32) for name in ("q", "k")}
    made = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", name], [f"y_{name}"], name=f"m_{name}") for name in weights]
            + [helper.make_node("Relu", [f"y_{name}"], [f"head_{name}"]) for name in weights],
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["b", "t", 24])],
            [
                helper.make_tensor_value_info(f"head_{n}", onnx.TensorProto.FLOAT, ["b", "t", 8])
                for n in weights
            ],
            [numpy_helper.from_array(values, name) for name, values in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    given_ = rng.normal(size=(2, 5, 24)).astype(np.float32)
    given_[0] *= 1000  # one text must not coarsen the other
    given_[1, 0] = 0.0
    for changed in (by_rows(made), by_columns(made)):
        onnx.checker.check_model(changed)
        kinds = [node.op_type for node in changed.graph.node]
        assert kinds.count("Round") == kinds.count("MatMulInteger") / 2
        session = load_engine().InferenceSession(
            changed.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"]
        )
        for (name, values), seen in zip(weights.items(), session.run(None, {"x": given_}), strict=True):
            exact = np.maximum(given_ @ values, 0)
            size = np.abs(given_).max(-1, keepdims=True) * np.abs(values).max(0)
            assert (np.abs(seen - exact) <= size * 24 / 127 + 1e-6).all(), name
            assert np.abs(seen - exact)[1].max() < 0.3  # one scale for both texts: 30 and more


def test_large_numbers_are_multiplied_exactly_on_every_processor() -> None:
    """One without VNNI adds two products of 8-bit numbers in 16 bits, and cuts what does not fit."""
    made = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("MatMul", ["x", "w"], ["y"], name="m"),
                helper.make_node("Relu", ["y"], ["head_y"]),
            ],
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["b", 64])],
            [helper.make_tensor_value_info("head_y", onnx.TensorProto.FLOAT, ["b", 32])],
            [numpy_helper.from_array(np.ones((64, 32), np.float32), "w")],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    changed = by_rows(made)
    (whole,) = [numpy_helper.to_array(t) for t in changed.graph.initializer if t.name == "w_small"]
    assert 2 * 255 * np.abs(whole.astype(int)).max() <= 32767
    session = load_engine().InferenceSession(
        changed.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"]
    )
    (seen,) = session.run(None, {"x": np.ones((9, 64), np.float32)})
    assert np.allclose(seen, 64.0, rtol=1e-5)


def test_the_command_takes_its_tolerance_from_the_spec(
    tiny_fitted: Path, tiny_rows: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    main([str(tiny_fitted), "--out", str(out), "--name", "tiny", "--rows", str(tiny_rows), "--threads", "1"])
    reason = Bundle.load(out, threads=1).card.precision_reason
    assert f"tolerance {PackageSpec().int8_tolerance:g}" in reason


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_wider_tolerance_never_takes_int8_away(
    exact: float, rounded: float, narrow: float, more: float
) -> None:
    at_first = chosen(figures(a=exact), figures(a=rounded), narrow).precision
    wider = chosen(figures(a=exact), figures(a=rounded), narrow + more).precision
    assert (at_first, wider) != ("int8", "float32")


def test_the_validation_sample_is_labelled_bounded_and_the_same_every_time(
    tiny_rows: Path, tiny_fitted: Path
) -> None:
    heads = load_fitted(tiny_fitted).heads
    only = {"topic": heads["topic"]}
    sample = precision.validation_sample(tiny_rows, only, most=7)
    assert len(sample.texts) == len(sample.targets["topic"]) == 7
    assert (sample.targets["topic"] >= 0).all()
    assert precision.validation_sample(tiny_rows, only, most=7).texts == sample.texts
    lines = [json.loads(x) for x in (tiny_rows / "validation.texts.jsonl").read_text().splitlines()]
    stored = np.load(tiny_rows / "validation.topic.npy")
    for text, target in zip(sample.texts, sample.targets["topic"], strict=True):
        assert target in {stored[i] for i, line in enumerate(lines) if line == text}


def test_the_command_writes_a_whole_bundle_and_replaces_the_old_one(
    tiny_fitted: Path, tiny_rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, facts = tmp_path / "out" / "bundle", tmp_path / "facts.json"
    facts.write_text('{"dataset_fingerprint": "abc"}')
    out.mkdir(parents=True)
    (out / "old.txt").write_text("left from before")
    command = [str(tiny_fitted), "--out", str(out), "--name", "tiny", "--rows", str(tiny_rows)]
    command += [
        "--provenance",
        str(facts),
        "--profile",
        str(facts),
        "--precision",
        "float32",
        "--threads",
        "1",
    ]
    assert main(command) == 0
    event = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    bundle = Bundle.load(out, threads=1)
    assert event["digest"] == bundle.digest
    assert bundle.card.data_profile == {"dataset_fingerprint": "abc"}
    assert sorted(entry.name for entry in out.parent.iterdir()) == ["bundle"], "nothing is left beside it"


def test_a_training_that_diverged_is_not_packaged(tiny_fitted: Path, tiny_rows: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_fitted, tmp_path / "fitted"))
    weights = load_file(folder / "weights.safetensors")
    weights["encoder.embeddings.word_embeddings.weight"][-1, 0] = float("nan")
    save_file(weights, folder / "weights.safetensors")
    with pytest.raises(ExportError, match=r"not finite|differs"):
        package(PackageJob(fitted=folder, out=tmp_path / "bundle", name="tiny", rows=tiny_rows, threads=1))
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_weight_is_looked_at(tiny_bundles: dict[str, Path], precision: Precision, bad: float) -> None:
    """Vectors of rare words and scales of 8-bit weights included, which golden texts may not use."""
    model = onnx.load(bundle_in(tiny_bundles, precision) / "model.onnx")
    assert first_nonfinite(model) is None
    floats = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    looked_at = [t for t in floats if np.prod(t.dims) > 1]
    assert len(looked_at) >= 8
    for tensor in looked_at:
        whole = onnx.TensorProto()
        whole.CopyFrom(tensor)
        values = numpy_helper.to_array(tensor).copy()
        values.reshape(-1)[-1] = bad
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        assert first_nonfinite(model) == tensor.name
        tensor.CopyFrom(whole)


def constant(values: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(values, "w"))


def model_of(*nodes: onnx.NodeProto, **more: Any) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(nodes, "g", [], [], **more))


NAN_PAIR = np.array([1.0, np.nan], np.float32)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (model_of(constant(NAN_PAIR)), "w"),
        (
            model_of(helper.make_node("If", ["x"], ["y"], then_branch=model_of(constant(NAN_PAIR)).graph)),
            "w",
        ),
        (
            helper.make_model(
                model_of().graph, functions=[helper.make_function("d", "f", [], [], [constant(NAN_PAIR)], [])]
            ),
            "w",
        ),
        (model_of(initializer=[helper.make_tensor("w", onnx.TensorProto.BFLOAT16, [2], [1.0, np.inf])]), "w"),
        (model_of(initializer=[helper.make_tensor("w", onnx.TensorProto.FLOAT, [2], [1.0, np.nan])]), "w"),
        (model_of(constant(np.array([-np.inf], np.float32))), None),  # how graphs write masks
        (model_of(constant(np.array([np.nan], np.float32))), "w"),
        (model_of(constant(np.array([1, 2], np.int64))), None),
    ],
)
def test_weights_are_found_wherever_a_graph_keeps_them(model: onnx.ModelProto, found: str | None) -> None:
    assert first_nonfinite(model) == found


def test_a_head_without_calibration_is_named(tiny_fitted: Path, tiny_rows: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_fitted, tmp_path / "fitted"))
    (folder / "calibration.json").write_text('{"topic": {"temperature": 1.0}}')
    with pytest.raises(BadInput, match="no head 'names'"):
        package(PackageJob(fitted=folder, out=tmp_path / "bundle", name="tiny", rows=tiny_rows, threads=1))


def test_golden_texts_are_seventeen_and_varied() -> None:
    assert len(GOLDEN_TEXTS) == len(set(GOLDEN_TEXTS)) == 17
    assert min(map(len, GOLDEN_TEXTS)) == 1
    assert max(map(len, GOLDEN_TEXTS)) > 600
