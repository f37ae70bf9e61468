"""The rows and encoders that benchmarks train on: a ready configuration's, or tiny generated ones."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flows.config.load import load_project
from model.spec import SPLITS
from sources.dataset import build_dataset
from tests.support.contract import CannotMeasure
from tests.support.tiny_encoder import make_tiny_backbone
from tests.support.tiny_rows import TINY_HEADS, tiny_examples, write_rows

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TINY = "a tiny encoder on generated rows decides no goal"
"""Why goals are undecided where `tiny_project` is trained."""


def data_folder(*, needed: bool = False) -> Path | None:
    """The folder of real data that HEADGATE_DATA names; None where it names none.

    Raises:
        CannotMeasure: there is none, and it is `needed`.
    """
    name = os.environ.get("HEADGATE_DATA", "")
    if name and Path(name).is_dir():
        return Path(name)
    if needed:
        raise CannotMeasure(
            "HEADGATE_DATA must name the folder with the real data sets (see configs/feelings.yaml): "
            "export HEADGATE_DATA=/path/to/data, or use --quick"
        )
    return None


def merged_rows(config: str, out: Path) -> Path:
    """The rows folder of `configs/<config>.yaml`, made below `out` where it is not there yet.

    Raises:
        CannotMeasure: HEADGATE_DATA names no folder.
    """
    data_folder(needed=True)
    path = CONFIGS / f"{config}.yaml"
    project = load_project(path)
    data = build_dataset(dict(project.sources), dict(project.heads), project.split, path.parent, out)
    return Path(data.path) / "rows"


def tiny_project(place: Path, counts: tuple[int, int, int] = (240, 90, 150)) -> tuple[Path, Path]:
    """A rows folder of two heads with so many generated rows (train, validation, test), and an encoder of two
    layers."""
    examples: dict[str, Sequence[dict[str, Any]]] = {
        split: tiny_examples(count, seed)
        for seed, (split, count) in enumerate(zip(SPLITS, counts, strict=True))
    }
    return write_rows(place / "rows", TINY_HEADS, examples), make_tiny_backbone(place / "encoder")


@contextlib.contextmanager
def working_folder(given: Path | None) -> Iterator[Path]:
    """The given folder, made where it is not there yet; else a temporary one."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="headgate-benchmark-") as folder:
        yield Path(folder)
