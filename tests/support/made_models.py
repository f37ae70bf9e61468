"""Bundles of a real shape without training: a known encoder, heads of random weights.

For time, memory and size, which do not depend on what a model has learnt. Packaged as every release is.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from model.export.package import package
from model.spec import BackboneSpec, HeadSpec, PackageJob, PackageSpec, PrecisionChoice
from model.train.backbone import OFFLINE_NAME, load_encoder, resolve
from model.train.network import MultiHeadNetwork, describe_network

VOCABULARY = (
    "the a my your this that order parcel kettle train ticket light phone letter works stopped arrived "
    "never again late early today yesterday please call back thank you happy angry slow quick broken new "
    "old with without for about because when it was is has been blue green small large money refund help "
    "wait nobody answers mails shop street door window water coffee morning evening week month price good"
)
WORDS = VOCABULARY.split()
MAX_LENGTH = 128


def texts(count: int, words: int = 24, seed: int = 17) -> list[str]:
    """Sentences of about `words` words, a third more or less: some 32 tokens at 24."""
    rng = Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(words * 2 // 3, words * 4 // 3))) for _ in range(count)]


def some_heads(count: int, labels: int = 8) -> dict[str, HeadSpec]:
    """Heads `h1`, `h2`, …, every other one multilabel."""
    names = tuple(f"label {number}" for number in range(labels))
    kinds = ("multiclass", "multilabel")
    return {f"h{at + 1}": HeadSpec(kind=kinds[at % 2], labels=names) for at in range(count)}  # type: ignore[arg-type]


def random_encoder(layers: int = 6, hidden: int = 768) -> Any:
    """An encoder of DistilBERT's form with random weights; by default of its size (66M parameters)."""
    from transformers import AutoModel, DistilBertConfig

    config = DistilBertConfig(
        n_layers=layers, dim=hidden, hidden_dim=4 * hidden, n_heads=max(1, hidden // 64)
    )
    return AutoModel.from_config(config, attn_implementation="eager")


def write_fitted(folder: Path, heads: dict[str, HeadSpec], encoder: Any = None) -> Path:
    """A fitted folder as training leaves it.

    Args:
        heads: with labels.
        encoder: a transformers encoder; by default the packaged one.
    """
    import torch
    from safetensors.torch import save_file

    offline = resolve(BackboneSpec(name=OFFLINE_NAME))
    torch.manual_seed(7)
    body = load_encoder(offline, attn_implementation="eager") if encoder is None else encoder
    network = MultiHeadNetwork(
        body, {name: len(head.labels) for name, head in heads.items()}, pooling="mean", dropout=0.0
    )
    folder.mkdir(parents=True)
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / "weights.safetensors")
    described = describe_network(
        network, heads, max_length=MAX_LENGTH, pad_token_id=0, backbone={"name": "made for a benchmark"}
    )
    calibration: dict[str, Any] = {
        name: {"temperature": 1.0}
        | ({"thresholds": [0.5] * len(head.labels)} if head.kind == "multilabel" else {})
        for name, head in heads.items()
    }
    for name, value in (
        ("network.json", described),
        ("calibration.json", calibration),
        ("fit.json", {"seconds": 0.0}),
    ):
        (folder / name).write_text(json.dumps(value))
    shutil.copy(offline.folder / "tokenizer.json", folder / "tokenizer.json")
    return folder


def write_rows(folder: Path, heads: dict[str, HeadSpec], rows: int = 24) -> Path:
    """A rows folder with a few validation rows, which packaging looks at."""
    folder.mkdir(parents=True)
    content = "".join(json.dumps(text) + "\n" for text in texts(rows, seed=3)).encode()
    for split in ("train", "validation", "test"):
        (folder / f"{split}.texts.jsonl").write_bytes(content)
        np.save(folder / f"{split}.weight.npy", np.ones(rows, np.float32))
        for name, head in heads.items():
            if head.kind == "multiclass":
                target = (np.arange(rows) % len(head.labels)).astype(np.int32)
            else:
                target = (np.arange(rows)[:, None] % len(head.labels) == np.arange(len(head.labels))).astype(
                    np.int8
                )
            np.save(folder / f"{split}.{name}.npy", target)
    digest = hashlib.sha256(content).hexdigest()
    about = {
        "heads": {name: {"kind": head.kind, "labels": list(head.labels)} for name, head in heads.items()},
        "rows": dict.fromkeys(("train", "validation", "test"), rows),
        "digest": dict.fromkeys(("train", "validation", "test"), digest),
    }
    (folder / "rows.json").write_text(json.dumps(about))
    return folder


def make_bundle(
    place: Path,
    name: str,
    heads: dict[str, HeadSpec],
    encoder: Any = None,
    precision: PrecisionChoice = "int8",
) -> Path:
    """`place/NAME/bundle` in a precision, from `place/NAME/fitted`; `auto` takes what is fastest, whatever
    random heads lose by it."""
    logging.disable(logging.INFO)  # fusion and quantiser log every node
    fitted = write_fitted(place / name / "fitted", heads, encoder)
    rows = write_rows(place / name / "rows", heads)
    spec = PackageSpec(precision=precision, int8_tolerance=1.0)
    out = place / name / "bundle"
    package(PackageJob(fitted=fitted, out=out, name=name, rows=rows, package=spec, threads=2))
    return out
