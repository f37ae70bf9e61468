"""Fixtures: a tiny random encoder, rows of nonsense words, a fitted folder and its bundles, in seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from safetensors.torch import save_file

from model.bundle.card import Precision
from model.bundle.engines import misfit
from tests.support.tiny_encoder import make_tiny_backbone
from tests.support.tiny_rows import TINY_HEADS, tiny_examples, write_rows


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a pretrained encoder, as `BackboneSpec.name` takes it."""
    return make_tiny_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="session")
def tiny_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows folder with a multiclass and a multilabel head: 120, 60 and 60 rows."""
    splits = {
        "train": tiny_examples(120, 1),
        "validation": tiny_examples(60, 2),
        "test": tiny_examples(60, 3),
    }
    return write_rows(tmp_path_factory.mktemp("rows"), TINY_HEADS, splits)


@pytest.fixture
def make_rows() -> Callable[..., Path]:
    """`write_rows`, for tests that need their own."""
    return write_rows


@pytest.fixture(scope="session")
def tiny_fitted(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    """A fitted folder as `fit` writes it, with random heads instead of trained ones."""
    return make_tiny_fitted(tmp_path_factory.mktemp("fitted"), tiny_backbone)


@pytest.fixture(scope="session")
def tiny_bundles(
    tmp_path_factory: pytest.TempPathFactory, tiny_fitted: Path, tiny_rows: Path
) -> dict[str, Path]:
    """The same fitted folder packaged in each precision that this machine has: its name → bundle folder."""
    return make_tiny_bundles(tmp_path_factory.mktemp("bundles"), tiny_fitted, tiny_rows)


def make_tiny_fitted(folder: Path, backbone: Path, heads: dict[str, dict[str, Any]] = TINY_HEADS) -> Path:
    """A fitted folder on an encoder, with random heads."""
    import torch
    from transformers import BertModel

    from model.spec import BackboneSpec, head_from_json
    from model.train.backbone import load_tokenizer, resolve
    from model.train.network import MultiHeadNetwork, describe_network

    folder.mkdir(parents=True, exist_ok=True)
    specs = {name: head_from_json(head) for name, head in heads.items()}
    encoder = BertModel.from_pretrained(backbone, add_pooling_layer=False)
    torch.manual_seed(5)
    network = MultiHeadNetwork(
        encoder, {name: len(head.labels) for name, head in specs.items()}, pooling="mean", dropout=0.1
    )
    for layer in network.heads.values():
        torch.nn.init.normal_(layer.weight, std=1.0)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / "weights.safetensors")
    pad_id = encoder.config.pad_token_id
    description = describe_network(
        network, specs, max_length=48, pad_token_id=pad_id, backbone={"name": "tiny"}
    )
    calibration = {
        name: {"temperature": 1.5}
        if head.kind == "multiclass"
        else {"temperature": 0.8, "thresholds": [0.4] * len(head.labels)}
        for name, head in specs.items()
    }
    for name, value in {
        "network.json": description,
        "calibration.json": calibration,
        "fit.json": {"seconds": 1.0},
    }.items():
        (folder / name).write_text(json.dumps(value))
    tokenizer = load_tokenizer(resolve(BackboneSpec(name=str(backbone))), 48)
    (folder / "tokenizer.json").write_bytes(tokenizer.to_str().encode())
    return folder


def bundle_in(bundles: dict[str, Path], precision: str) -> Path:
    """The bundle of a precision, if this machine has that."""
    if precision not in bundles:
        pytest.skip(f"no {precision} here: {misfit(cast(Precision, precision))}")
    return bundles[precision]


def make_tiny_bundles(folder: Path, fitted: Path, rows: Path) -> dict[str, Path]:
    """Precision → bundle folder below `folder`."""
    from model.export.package import package
    from model.export.precision import candidates
    from model.spec import PackageJob, PackageSpec

    able = candidates("auto")
    for precision in able:
        package(
            PackageJob(
                fitted=fitted,
                out=folder / precision,
                name="tiny",
                rows=rows,
                provenance={"dataset_fingerprint": "f" * 16},
                package=PackageSpec(precision=precision),
                threads=1,
            )
        )
    return {precision: folder / precision for precision in able}
