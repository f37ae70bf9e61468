"""What is tuned is tuned on validation rows: test rows that are poisoned, or gone, change no byte of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle.card import Precision
from model.export import precision
from model.export.package import package
from model.rows import open_rows
from model.spec import BackboneSpec, FitJob, PackageJob, TrainSpec
from model.train.fit import fit

RECIPE = TrainSpec(
    epochs=2,
    batch_rows=16,
    max_length=16,
    learning_rate=1e-3,
    threads=1,
    precision="float32",
    distillation=0.0,
)
TUNED = ("calibration.json", "network.json", "weights.safetensors")


def _silent(event: Mapping[str, Any]) -> None:
    pass


def int8_fastest(loaded: Mapping[Precision, object]) -> dict[Precision, precision.Speed]:
    return {name: precision.Speed(1.0 if name == "int8" else 2.0, 9.0) for name in loaded}


def poisoned(rows: Path) -> None:
    """Every test target is another one, and every text says so in words of the other heads."""
    targets = np.load(rows / "test.topic.npy")
    np.save(rows / "test.topic.npy", np.where(targets >= 0, (targets + 1) % 3, 0).astype(np.int32))
    cells = np.load(rows / "test.names.npy")
    np.save(rows / "test.names.npy", np.where(cells >= 0, 1 - cells, 1).astype(np.int8))
    texts = ["fox milk sun tea cat " * 3] * len(targets)
    content = "".join(json.dumps(text) + "\n" for text in texts)
    (rows / "test.texts.jsonl").write_text(content)


def gone(rows: Path) -> None:
    """No test file at all: whoever opened one would fail."""
    for path in rows.glob("test.*"):
        path.unlink()


def changed_validation(rows: Path) -> None:
    """The control: validation targets do reach thresholds and temperatures."""
    targets = np.load(rows / "validation.topic.npy")
    np.save(rows / "validation.topic.npy", np.where(targets >= 0, (targets + 1) % 3, -1).astype(np.int32))
    cells = np.load(rows / "validation.names.npy")
    np.save(rows / "validation.names.npy", np.where(cells >= 0, 1 - cells, -1).astype(np.int8))


def tuned(rows: Path, backbone: Path, place: Path) -> dict[str, bytes]:
    """Fit and package on `rows`; everything that was tuned, as bytes."""
    job = FitJob(
        heads=open_rows(rows).heads,
        backbone=BackboneSpec(name=str(backbone)),
        train=RECIPE,
        rows=str(rows),
        out=str(place / "fitted"),
    )
    fit(job, _silent)
    with pytest.MonkeyPatch.context() as patch:
        # What is fastest is of the machine and of the moment, not of the rows.
        patch.setattr(precision, "measure_speed", int8_fastest)
        package(PackageJob(fitted=place / "fitted", out=place / "bundle", name="tiny", rows=rows, threads=1))
    card = json.loads((place / "bundle" / "card.json").read_text())
    found = {name: (place / "fitted" / name).read_bytes() for name in TUNED}
    # Thresholds, temperatures, the precision that was chosen and why, figures on validation rows.
    chosen = {key: card[key] for key in ("heads", "precision", "precision_reason", "metrics")}
    return {**found, "card": json.dumps(chosen, sort_keys=True).encode()}


@pytest.fixture(scope="module")
def sound(tiny_rows: Path, tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return tuned(tiny_rows, tiny_backbone, tmp_path_factory.mktemp("sound"))


@pytest.mark.parametrize("change", [poisoned, gone])
def test_test_rows_reach_nothing_that_is_tuned(
    change: Callable[[Path], None],
    sound: dict[str, bytes],
    tiny_rows: Path,
    tiny_backbone: Path,
    tmp_path: Path,
) -> None:
    rows = Path(shutil.copytree(tiny_rows, tmp_path / "rows"))
    change(rows)
    assert tuned(rows, tiny_backbone, tmp_path) == sound


def test_validation_rows_do(
    sound: dict[str, bytes], tiny_rows: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    rows = Path(shutil.copytree(tiny_rows, tmp_path / "rows"))
    changed_validation(rows)
    assert tuned(rows, tiny_backbone, tmp_path)["calibration.json"] != sound["calibration.json"]
