"""A bundle answers as its card says, alone, and is refused when anything in it does not fit."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from model.bundle.card import PRECISIONS, HeadCard, card_from_json
from model.bundle.errors import (
    BundleError,
    BundleFileError,
    CardError,
    GoldenMismatch,
    GraphError,
    NonFiniteOutput,
    TextError,
)
from model.bundle.reader import Bundle
from model.errors import BadInput
from model.export.package import write_manifest
from tests.support.tiny_encoder import WORDS
from tests.support.tiny_models import bundle_in

VOCABULARY = len(WORDS) + 5

TEXTS = ["sun rain", "cat", "", "tea milk bread soup " * 30, "nothing known here", "Fox! dogs?"]


@pytest.fixture(scope="module")
def bundle(tiny_bundles: dict[str, Path]) -> Bundle:
    return Bundle.load(tiny_bundles["float32"], threads=1)


@pytest.fixture
def copy(tiny_bundles: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundles["float32"], tmp_path / "copy"))


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text("utf-8"))
    change(value)
    path.write_text(json.dumps(value), "utf-8")


def edit_graph(folder: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    """Change the graph and renew the manifest, as one who forges a bundle would."""
    model = onnx.load(folder / "model.onnx")
    change(model)
    onnx.save(model, folder / "model.onnx")
    write_manifest(folder)


# Answers


def test_the_digest_is_that_of_the_manifest(bundle: Bundle, tiny_bundles: dict[str, Path]) -> None:
    manifest = (tiny_bundles["float32"] / "manifest.json").read_bytes()
    assert bundle.digest == hashlib.sha256(manifest).hexdigest()


def test_probabilities_follow_temperature_and_kind(bundle: Bundle) -> None:
    logits, chances = bundle.logits(TEXTS), bundle.probabilities(TEXTS)
    powers = np.exp(logits["topic"] / 1.5)
    np.testing.assert_allclose(chances["topic"], powers / powers.sum(1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(chances["names"], 1 / (1 + np.exp(-logits["names"] / 0.8)), atol=1e-6)
    assert {head: values.shape for head, values in chances.items()} == {"topic": (6, 3), "names": (6, 4)}
    assert all(values.dtype == np.float32 for values in chances.values())


def test_an_answer_names_the_labels_chosen_and_all_probabilities(bundle: Bundle) -> None:
    chances = bundle.probabilities(TEXTS)
    for row, answer in enumerate(bundle.predict(TEXTS)):
        assert list(answer) == ["topic", "names"]
        labels = bundle.card.heads["topic"].labels
        assert answer["topic"].labels == (labels[int(chances["topic"][row].argmax())],)
        assert list(answer["topic"].probabilities) == list(labels)
        above = [n for n, p in answer["names"].probabilities.items() if p >= 0.4]
        assert list(answer["names"].labels) == above
        assert list(answer["names"].probabilities.values()) == chances["names"][row].tolist()


def test_tokenising_and_running_apart_give_the_same_as_together(bundle: Bundle) -> None:
    encoding = bundle.encode(["sun rain"])
    assert encoding.input_ids.tolist() == [[2, 4, 5, 3]]
    assert encoding.attention_mask.tolist() == [[1, 1, 1, 1]]
    for head, logits in bundle.run(encoding).items():
        np.testing.assert_allclose(logits, bundle.logits(["sun rain"])[head], atol=1e-6)


def test_long_texts_are_cut_at_the_cards_length(bundle: Bundle) -> None:
    assert bundle.encode(["sun " * 100_000]).input_ids.shape == (1, 48)
    assert bundle.encode(["", " "]).input_ids.tolist() == [[2, 3], [2, 3]]


def test_no_texts_give_no_answers(bundle: Bundle) -> None:
    assert bundle.predict([]) == []
    assert bundle.logits([])["topic"].shape == (0, 3)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["fine", "\ud800"], "text 1: seen a lone surrogate at character 0"),
        (["fine", None], "text 1: seen NoneType, expected a string"),
        ([float("nan")], "text 0: seen float"),
        ("one text", "expected a list of texts"),
    ],
)
def test_what_is_no_text_is_refused_without_repeating_it(bundle: Bundle, texts: Any, message: str) -> None:
    with pytest.raises(TextError, match=message):
        bundle.predict(texts)


@pytest.mark.parametrize("kept", PRECISIONS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(max_size=60) | st.sampled_from(TEXTS), min_size=1, max_size=40))
def test_company_in_a_batch_does_not_change_an_answer(
    tiny_bundles: dict[str, Path], loaded: dict[str, Bundle], kept: str, texts: list[str]
) -> None:
    """In every engine and precision: no activation of a text is ever scaled by those of another."""
    bundle_in(tiny_bundles, kept)
    whole = loaded[kept].probabilities(texts)
    for row, text in enumerate(texts):
        alone = loaded[kept].probabilities([text])
        for head, values in alone.items():
            assert np.abs(whole[head][row] - values[0]).max() < (1e-5 if "float32" in kept else 5e-3)


@pytest.fixture(scope="module")
def loaded(tiny_bundles: dict[str, Path]) -> dict[str, Bundle]:
    return {kept: Bundle.load(path, threads=1) for kept, path in tiny_bundles.items()}


def test_a_logit_that_is_not_finite_is_no_answer(copy: Path) -> None:
    def take_logarithm(model: onnx.ModelProto) -> None:
        maker = next(node for node in model.graph.node if "head_topic" in node.output)
        maker.output[0] = "inner"
        model.graph.node.append(onnx.helper.make_node("Log", ["inner"], ["head_topic"]))

    edit_graph(copy, take_logarithm)
    with pytest.raises(NonFiniteOutput, match="head topic"):
        Bundle.load(copy, threads=1, verify=False).predict(TEXTS)


# Refusals


def test_a_flipped_byte_is_refused(copy: Path) -> None:
    for name in ("model.onnx", "tokenizer.json", "card.json", "golden.json"):
        whole = (copy / name).read_bytes()
        broken = bytearray(whole)
        broken[len(broken) // 2] ^= 1
        (copy / name).write_bytes(broken)
        with pytest.raises(BundleFileError, match=f"{name}: seen sha256"):
            Bundle.load(copy, threads=1)
        (copy / name).write_bytes(whole)
    Bundle.load(copy, threads=1)


def test_a_truncated_file_is_refused(copy: Path) -> None:
    raw = (copy / "model.onnx").read_bytes()
    (copy / "model.onnx").write_bytes(raw[:-100])
    with pytest.raises(BundleFileError, match=f"seen {len(raw) - 100} bytes, expected {len(raw)}"):
        Bundle.load(copy, threads=1)
    write_manifest(copy)
    with pytest.raises(GraphError, match="cannot be loaded as an ONNX graph"):
        Bundle.load(copy, threads=1)


@pytest.mark.parametrize("cut", [0, 1, 7, 100, 5000])
def test_any_cut_of_the_graph_is_refused_even_with_a_new_manifest(copy: Path, cut: int) -> None:
    (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes()[:cut])
    write_manifest(copy)
    with pytest.raises(GraphError):
        Bundle.load(copy, threads=1)


def test_an_extra_and_a_missing_file_are_refused(copy: Path) -> None:
    (copy / "extra.py").write_text("")
    with pytest.raises(BundleFileError, match=r"seen 'extra.py'"):
        Bundle.load(copy, threads=1)
    (copy / "extra.py").unlink()
    (copy / "golden.json").unlink()
    with pytest.raises(BundleFileError, match=r"golden.json: cannot be read"):
        Bundle.load(copy, threads=1)
    with pytest.raises(BundleFileError, match=r"manifest.json: cannot be read"):
        Bundle.load(copy / "nowhere", threads=1)


def test_a_manifest_that_lists_other_files_is_refused(copy: Path) -> None:
    edit_json(copy / "manifest.json", lambda m: m["files"].pop("golden.json"))
    with pytest.raises(CardError, match=r"manifest.json: expected schema version 1 and the files"):
        Bundle.load(copy, threads=1)


def test_a_missing_head_is_refused(copy: Path) -> None:
    def drop(model: onnx.ModelProto) -> None:
        del model.graph.output[1]

    edit_graph(copy, drop)
    with pytest.raises(GraphError, match="head names: no output 'head_names'"):
        Bundle.load(copy, threads=1)


def test_a_head_that_the_card_does_not_have_is_refused(copy: Path) -> None:
    edit_json(copy / "card.json", lambda card: card["heads"].pop("names"))
    write_manifest(copy)
    with pytest.raises(GraphError, match="outputs head_names that no head of the card has"):
        Bundle.load(copy, threads=1)


def test_a_head_of_another_width_is_refused(copy: Path) -> None:
    def shorten(card: Any) -> None:
        card["heads"]["topic"]["labels"].pop()

    edit_json(copy / "card.json", shorten)
    write_manifest(copy)
    with pytest.raises(GraphError, match=r"head topic: seen an output of shape .*expected \(batch, 2\)"):
        Bundle.load(copy, threads=1)


def test_permuted_labels_are_refused(copy: Path) -> None:
    edit_json(copy / "card.json", lambda card: card["heads"]["topic"]["labels"].reverse())
    write_manifest(copy)
    with pytest.raises(GraphError, match="head topic: the card's labels are not those of the graph"):
        Bundle.load(copy, threads=1)


@pytest.mark.parametrize("kept", PRECISIONS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_answer_nothing(
    tiny_bundles: dict[str, Path], tmp_path: Path, bad: float, kept: str
) -> None:
    """Packaging refuses such weights; a bundle that was changed later does not load, and answers nothing."""
    copy = Path(shutil.copytree(bundle_in(tiny_bundles, kept), tmp_path / "copy"))

    def poison(model: onnx.ModelProto) -> None:
        floats = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
        tensor = next(t for t in floats if "head_topic" in t.name and len(t.dims) == 2)
        values = numpy_helper.to_array(tensor).copy()
        values.reshape(-1)[-1] = bad
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    edit_graph(copy, poison)
    with pytest.raises(NonFiniteOutput, match="head topic"):
        Bundle.load(copy, threads=1)
    with pytest.raises(NonFiniteOutput, match="head topic"):
        Bundle.load(copy, threads=1, verify=False).predict(TEXTS)


def test_a_word_whose_vector_is_not_finite_is_not_answered(copy: Path) -> None:
    """No golden text holds the word, so the bundle loads."""

    def poison(model: onnx.ModelProto) -> None:
        # One row a token, of which the last is "##s".
        tensor = next(t for t in model.graph.initializer if list(t.dims[:1]) == [VOCABULARY])
        values = numpy_helper.to_array(tensor).copy()
        values[-1] = np.nan
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    edit_graph(copy, poison)
    bundle = Bundle.load(copy, threads=1)
    assert np.isfinite(bundle.probabilities(["sun"])["topic"]).all()
    with pytest.raises(NonFiniteOutput):
        bundle.predict(["suns"])


@pytest.mark.parametrize("kept", ["float32", "openvino_float32"])
@pytest.mark.parametrize("place", ["w.bin", "../w.bin", "/absolute", "*/_ORT_MEM_ADDR_/*"])
def test_weights_in_another_file_are_refused(
    tiny_bundles: dict[str, Path], tmp_path: Path, place: str, kept: str
) -> None:
    """Every byte that answers is listed in the manifest, and so signed."""
    copy = Path(shutil.copytree(bundle_in(tiny_bundles, kept), tmp_path / "copy"))
    model = onnx.load(copy / "model.onnx")
    onnx.save(model, copy / "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    model = onnx.load(copy / "model.onnx", load_external_data=False)
    location = str(tmp_path / "w.bin") if place == "/absolute" else place
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (copy / "model.onnx").write_bytes(model.SerializeToString())
    if place != "w.bin":
        (copy / "w.bin").rename(tmp_path / "w.bin")
    write_manifest(copy)
    with pytest.raises(
        (GraphError, BundleFileError), match=r"cannot be loaded as an ONNX graph|seen 'w.bin'"
    ):
        Bundle.load(copy, threads=1)


def head_weights(model: onnx.ModelProto, width: int) -> onnx.TensorProto:
    return next(t for t in model.graph.initializer if width in t.dims and len(t.dims) == 2)


@pytest.mark.parametrize("kept", PRECISIONS)
@pytest.mark.parametrize("harm", ["zeroed", "shuffled"])
def test_a_changed_head_is_seen_by_the_golden_answers(
    tiny_bundles: dict[str, Path], tmp_path: Path, kept: str, harm: str
) -> None:
    folder = Path(shutil.copytree(bundle_in(tiny_bundles, kept), tmp_path / "copy"))

    def change(model: onnx.ModelProto) -> None:
        tensor = head_weights(model, 3)
        values = numpy_helper.to_array(tensor).copy()
        axis = values.shape.index(3)
        values = np.zeros_like(values) if harm == "zeroed" else np.roll(values, 1, axis)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    edit_graph(folder, change)
    Bundle.load(folder, threads=1, verify=False)
    with pytest.raises(GoldenMismatch, match="head topic: golden text"):
        Bundle.load(folder, threads=1)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("card.json", lambda c: c.pop("heads"), "heads: missing"),
        ("card.json", lambda c: c.update(extra=1), "extra: no such field"),
        ("card.json", lambda c: c["heads"]["topic"].update(temperature=0), "temperature: seen '0'"),
        ("card.json", lambda c: c["heads"]["topic"].update(temperature=True), "temperature: seen 'True'"),
        ("card.json", lambda c: c["heads"]["names"].pop("thresholds"), "thresholds: expected 4 numbers"),
        ("card.json", lambda c: c["heads"]["names"]["thresholds"].pop(), "thresholds: expected 4 numbers"),
        ("card.json", lambda c: c["heads"]["topic"].update(thresholds=[0.5] * 3), "none for a multiclass"),
        ("card.json", lambda c: c["heads"]["topic"].update(labels=["a", "a", "b"]), "each label once"),
        ("card.json", lambda c: c["heads"]["topic"].update(kind="softmax"), "multiclass or multilabel"),
        ("card.json", lambda c: c.update(precision="int4"), "float32 or int8"),
        ("card.json", lambda c: c.update(schema_version=2), "schema_version: seen '2', expected 1"),
        (
            "card.json",
            lambda c: c.update(max_length=47),
            "cuts at 48 tokens, expected the card's max_length 47",
        ),
        ("card.json", lambda c: c["metrics"].update(test={"topic": {"accuracy": "1"}}), "finite figures"),
        ("golden.json", lambda g: g["texts"].pop(), "expected .* finite figures"),
        ("golden.json", lambda g: g.update(tolerance=1.0), "tolerance between"),
        ("golden.json", lambda g: g.update(texts=[]), "at least one text"),
        ("golden.json", lambda g: g["probabilities"].pop("topic"), "probabilities a head"),
        ("golden.json", lambda g: g["probabilities"]["topic"][0].reverse(), "golden text 0"),
        ("golden.json", lambda g: g["texts"].__setitem__(0, "\ud800"), "expected texts"),
    ],
)
def test_files_that_do_not_say_what_they_must_are_refused(
    copy: Path, name: str, change: Callable[[Any], None], message: str
) -> None:
    edit_json(copy / name, change)
    write_manifest(copy)
    with pytest.raises(BundleError, match=message):
        Bundle.load(copy, threads=1)


def test_not_a_number_in_a_json_file_is_refused(copy: Path) -> None:
    edit_json(copy / "card.json", lambda card: card["heads"]["topic"].update(temperature=float("nan")))
    write_manifest(copy)
    with pytest.raises(CardError, match="NaN"):
        Bundle.load(copy, threads=1)


def test_every_problem_of_a_card_is_reported_at_once() -> None:
    with pytest.raises(CardError) as seen:
        card_from_json({"name": "", "max_length": 1, "heads": {"Bad Name": {}}}, where="card.json")
    message = str(seen.value)
    for part in (
        "schema_version: missing",
        "name: seen ''",
        "max_length: seen '1'",
        "heads.Bad Name.kind: missing",
    ):
        assert part in message


def test_a_card_survives_the_way_through_json(bundle: Bundle) -> None:
    assert card_from_json(json.loads(json.dumps(bundle.card.to_json())), where="here") == bundle.card


def test_bundle_errors_are_bad_input_and_head_cards_are_plain() -> None:
    assert issubclass(BundleError, BadInput)
    head = HeadCard(kind="multiclass", labels=("a", "b"), temperature=1.0, thresholds=None, metric="accuracy")
    assert head.thresholds is None
