"""Small projects of real texts, cut from the folder that HEADGATE_DATA names. Does not know what is done with
them."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import yaml

from tests.support.contract import CannotMeasure


def real_folder() -> Path:
    """The folder of real data.

    Raises:
        CannotMeasure: HEADGATE_DATA names none.
    """
    name = os.environ.get("HEADGATE_DATA", "")
    if not (name and Path(name).is_dir()):
        raise CannotMeasure(
            "HEADGATE_DATA must name the folder with the real data sets (see configs/feelings.yaml): "
            "export HEADGATE_DATA=/path/to/data, or use --quick"
        )
    return Path(name)


def intents(data: Path, folder: Path) -> Path:
    """77 intents of bank customers: a fifth of the training rows, half of the test rows."""
    source = {
        "path": {
            "train": _cut_csv(data / "banking77" / "train.csv", folder / "train.csv", 5),
            "test": _cut_csv(data / "banking77" / "test.csv", folder / "test.csv", 2),
        },
        "heads": {"intent": "category"},
    }
    return _written(folder, "intents", {"intent": "multiclass"}, source, epochs=8)


def feelings(data: Path, folder: Path) -> Path:
    """Seven emotions, several at once: a twelfth of the training rows, half of the test rows."""
    ekman = data / "goemotions" / "ekman"
    source = {
        "path": {
            "train": _cut_lines(ekman / "train.tsv", folder / "train.tsv", 12),
            "validation": _cut_lines(ekman / "dev.tsv", folder / "dev.tsv", 4),
            "test": _cut_lines(ekman / "test.tsv", folder / "test.tsv", 2),
        },
        "header": False,
        "names": ["text", "labels", "comment"],
        "heads": {
            "emotion": {
                "column": "labels",
                "encoding": "separator",
                "separator": ",",
                "labels_file": str(ekman / "labels.txt"),
            }
        },
    }
    return _written(folder, "feelings", {"emotion": "multilabel"}, source, epochs=4)


def _cut_csv(source: Path, target: Path, every: int) -> str:
    """One record in so many below the header; a record may go over several lines."""
    with source.open(encoding="utf-8", newline="") as file:
        header, *records = csv.reader(file)
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *records[::every]])
    return str(target)


def _cut_lines(source: Path, target: Path, every: int) -> str:
    """One line in so many."""
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    target.write_text("".join(lines[::every]), encoding="utf-8")
    return str(target)


def _written(folder: Path, name: str, heads: dict[str, str], source: dict[str, Any], *, epochs: int) -> Path:
    project = {
        "name": name,
        "backbone": "offline",
        "heads": heads,
        "sources": {"rows": source},
        "train": {"epochs": epochs, "max_length": 48, "learning_rate": 2.0e-4},
        "gates": {"max_single_head_ratio": 20, "control_tolerance": 0.95},
        "deploy": {"port": 0},
    }
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")
    return path
