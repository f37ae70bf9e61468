"""Tiny bundles made by hand and a release folder to put them into: what the endpoint is tried with.

Their answers differ by seed, so that a reply can be held against the version that it names. Real files,
real keys; the network is one table, so that the endpoint is measured and not a model.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from model.bundle.card import Card, HeadCard
from model.bundle.graph import output_name
from model.bundle.reader import Bundle
from serving.store import signing
from serving.store.manifest import ReleaseManifest
from serving.store.pointer import Pointer, write_pointer
from serving.store.release_folder import ReleaseFolder

NAME = "toy"
WORDS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    *("hello", "good", "bad", "day", "rain", "sun", "late", "early", "thanks", "help", "order"),
)
HEADS = {
    "mood": HeadCard(
        kind="multiclass", labels=("low", "mid", "high"), temperature=1.0, thresholds=None, metric="accuracy"
    ),
    "topics": HeadCard(
        kind="multilabel",
        labels=("weather", "delivery"),
        temperature=1.0,
        thresholds=(0.5, 0.5),
        metric="macro_f1",
    ),
}
GOLDEN_TEXTS = ["hello good day", "late order", "rain"]
PASS = {
    "gate": "release",
    "outcome": "pass",
    "findings": [{"subject": "mood", "outcome": "pass", "reason": "as good", "figures": {"rows": 400}}],
}


def write_bundle(
    folder: Path,
    seed: int,
    work: int = 0,
    text_work: int = 0,
    heads: Mapping[str, HeadCard] = HEADS,
) -> str:
    """Write a bundle whose answers differ by seed; returns its digest. The network is one table: a token's
    row holds its logits, and a text's logits are the mean of its tokens' rows. With `work`, every pass also
    multiplies two matrices of that size, which takes time (`work_of`); with `text_work`, so does every text
    of it."""
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(_tokenizer().to_str())
    (folder / "model.onnx").write_bytes(_graph(seed, work, text_work, heads).SerializeToString())
    card = Card(name=NAME, heads=dict(heads), max_length=16, precision="float32", precision_reason="tiny")
    (folder / "card.json").write_text(json.dumps(card.to_json()))
    made = Bundle.from_parts(folder / "model.onnx", (folder / "tokenizer.json").read_bytes(), card, threads=1)
    golden = {head: rows.tolist() for head, rows in made.probabilities(GOLDEN_TEXTS).items()}
    (folder / "golden.json").write_text(
        json.dumps({"texts": GOLDEN_TEXTS, "probabilities": golden, "tolerance": 1e-4})
    )
    return write_bundle_manifest(folder)


def work_of(ms: float) -> int:
    """The `work` of a pass that takes at least so many milliseconds on one core of this machine. One core is
    four times as quick as another: a test that needs a slow version says how slow, not how large."""
    return math.ceil(1000 * (1.2 * ms / _ms_of_a_thousand()) ** (1 / 3))


@functools.cache
def _ms_of_a_thousand() -> float:
    """The quickest of some passes with `work=1000`: other work on the machine only makes it slower."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = _graph(1, 1000, 0, HEADS).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    ids = np.ones((1, 4), np.int64)
    taken_s = []
    for _ in range(8):
        begun = time.perf_counter()
        session.run(None, {"input_ids": ids, "attention_mask": ids})
        taken_s.append(time.perf_counter() - begun)
    return 1000 * min(taken_s)


def break_word(folder: Path, word: str) -> None:
    """Make a bundle fail at a text that holds this word twice, as "help help": finite once, twice it is not.
    Its manifest is then to be written again."""
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "table_mood":
            table = numpy_helper.to_array(tensor).copy()
            table[WORDS.index(word)] = 3e38
            tensor.CopyFrom(numpy_helper.from_array(table, tensor.name))
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def write_bundle_manifest(folder: Path) -> str:
    """(Re)write the manifest of a bundle's files; returns the bundle's digest."""
    files = {}
    for path in sorted(folder.iterdir()):
        if path.name != "manifest.json":
            data = path.read_bytes()
            files[path.name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    data = json.dumps({"schema_version": 1, "files": files}).encode()
    (folder / "manifest.json").write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    return tokenizer


def _graph(seed: int, work: int, text_work: int, heads: Mapping[str, HeadCard]) -> onnx.ModelProto:
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
        helper.make_node("ReduceSum", ["mask", "one"], ["count"], keepdims=1),
    ]
    weights = [
        numpy_helper.from_array(np.array([2], np.int64), "last"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
    ]
    idle = ["count"]
    if work:
        weights.append(numpy_helper.from_array(np.array([work, work], np.int64), "size"))
        weights.append(numpy_helper.from_array(np.array(0, np.float32), "nothing"))
        nodes += [
            helper.make_node("ReduceMax", ["count"], ["most"], keepdims=0),
            helper.make_node("Expand", ["most", "size"], ["matrix"]),
            helper.make_node("MatMul", ["matrix", "matrix"], ["product"]),
            helper.make_node("ReduceMax", ["product"], ["peak"], keepdims=0),
            helper.make_node("Mul", ["peak", "nothing"], ["zero"]),
            helper.make_node("Add", ["count", "zero"], ["count_later"]),
        ]
        idle = ["count_later"]
    if text_work:
        weights.append(numpy_helper.from_array(np.array([1, text_work, text_work], np.int64), "text_size"))
        weights.append(numpy_helper.from_array(np.array(0, np.float32), "none"))
        nodes += [
            helper.make_node("Unsqueeze", [*idle, "last"], ["counts"]),
            helper.make_node("Expand", ["counts", "text_size"], ["matrices"]),
            helper.make_node("MatMul", ["matrices", "matrices"], ["products"]),
            helper.make_node("ReduceMax", ["products"], ["peaks"], axes=[1, 2], keepdims=0),
            helper.make_node("Unsqueeze", ["peaks", "one"], ["column"]),
            helper.make_node("Mul", ["column", "none"], ["zeros"]),
            helper.make_node("Add", [*idle, "zeros"], ["count_last"]),
        ]
        idle = ["count_last"]
    outputs = []
    for head, card in heads.items():
        table = rng.normal(scale=3, size=(len(WORDS), len(card.labels))).astype(np.float32)
        weights.append(numpy_helper.from_array(table, f"table_{head}"))
        nodes += [
            helper.make_node("Gather", [f"table_{head}", "input_ids"], [f"rows_{head}"]),
            helper.make_node("Mul", [f"rows_{head}", "mask3"], [f"kept_{head}"]),
            helper.make_node("ReduceSum", [f"kept_{head}", "one"], [f"sum_{head}"], keepdims=0),
            helper.make_node("Div", [f"sum_{head}", *idle], [output_name(head)]),
        ]
        shape = ["batch", len(card.labels)]
        outputs.append(helper.make_tensor_value_info(output_name(head), TensorProto.FLOAT, shape))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, initializer=weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    labels = {head: list(card.labels) for head, card in heads.items()}
    helper.set_model_props(model, {"headgate.heads": json.dumps(labels)})
    onnx.checker.check_model(model)
    return model


@dataclasses.dataclass
class Shop:
    """A release folder with its keys, and bundles to put into it."""

    root: Path
    folder: ReleaseFolder
    private_key: Path
    public_key: Path

    def bundle(self, version: int, work: int = 0, text_work: int = 0) -> tuple[Path, str]:
        """(folder, digest) of the bundle of a version, made on first use."""
        path = self.root / "bundles" / str(version)
        if not path.exists():
            write_bundle(path, seed=version, work=work, text_work=text_work)
        return path, hashlib.sha256((path / "manifest.json").read_bytes()).hexdigest()

    def manifest(self, version: int, **changes: object) -> ReleaseManifest:
        """A release manifest of a version that passed."""
        made = ReleaseManifest(
            name=NAME, version=version, sequence=version, bundle_sha256=self.bundle(version)[1], verdict=PASS
        )
        return dataclasses.replace(made, **changes)  # type: ignore[arg-type]

    def seal(self, bundle: Path) -> str:
        """Rewrite the manifest of a bundle that was changed; returns its digest."""
        return write_bundle_manifest(bundle)

    def stage(self, version: int) -> Path:
        """Stage a version that passed."""
        return self.folder.stage(self.bundle(version)[0], self.manifest(version), self.private_key)

    def release(self, version: int) -> Path:
        """Stage and promote a version that passed."""
        path = self.stage(version)
        self.folder.promote(version, self.private_key)
        return path

    def point_at(self, version: int) -> None:
        """Move the pointer as a careless or hostile holder of the key would: the version is not verified."""
        now = self.folder.pointer(self.public_key)
        pointer = Pointer(
            name=NAME,
            version=version,
            sequence=now.sequence + 1 if now else 1,
            approval=max(version, now.approval if now else 0),
            previous=now.version if now else None,
        )
        write_pointer(self.folder.pointer_path, pointer, self.private_key)

    def probabilities(self, version: int, text: str) -> dict[str, list[float]]:
        """What this version answers, from the bundle itself."""
        bundle = Bundle.load(self.bundle(version)[0], threads=1, verify=False)
        return {head: rows[0].tolist() for head, rows in bundle.probabilities([text]).items()}


def make_shop(root: Path) -> Shop:
    """An empty release folder below `root`, with a key pair of its own."""
    private, public = signing.ensure_key_pair(root / "keys")
    return Shop(root, ReleaseFolder(root / "releases" / NAME), private, public)
