"""A project with two heads and a tiny random encoder, as far as its baselines."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.config.load import load_project
from flows.config.schema import Project
from model.references import Run
from release.home import Home
from tasks.data.merge import merge
from tasks.data.prepare_run import prepare_run
from tests.support.tiny_encoder import make_tiny_backbone

WORDS = {"weather": ["sun", "rain", "wind", "snow"], "food": ["tea", "milk", "bread", "soup"]}
ROWS = 210


@pytest.fixture
def two_heads(tmp_path: Path) -> Callable[..., Path]:
    """Writes the project, of which every third training row leaves `topic` unlabelled and others `drink`."""
    return lambda **changes: _project(tmp_path, **changes)


@pytest.fixture
def prepared() -> Callable[[Path, Home], tuple[Project, Run, Path]]:
    """Within a flow: the project of a configuration, its run and its dataset folder."""
    return _prepared


def _project(folder: Path, **changes: Any) -> Path:
    make_tiny_backbone(folder / "encoder")
    dice = random.Random(3)
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "drink", "split"])
        for number in range(ROWS):
            topic = dice.choice(sorted(WORDS))
            text = " ".join(dice.choices(WORDS[topic], k=8)) + " s" * (number % 3)
            drink = "yes" if {"tea", "milk"} & set(text.split()) else "no"
            split = ["train", "train", "train", "train", "validation", "test", "train"][number % 7]
            topic = "" if split == "train" and number % 3 == 0 else topic
            drink = "" if split == "train" and number % 3 == 1 else drink
            writer.writerow([text, topic, drink, split])
    path = folder / "project.yaml"
    recipe = {"epochs": 2, "learning_rate": 3e-3, "head_learning_rate": 1e-2, "max_length": 16, "threads": 1}
    project: dict[str, Any] = {
        "name": "taught",
        "backbone": str(folder / "encoder"),
        "heads": {"topic": "multiclass", "drink": "multiclass"},
        "sources": {
            "rows": {
                "path": "rows.csv",
                "split_column": "split",
                "heads": {"topic": "topic", "drink": "drink"},
            }
        },
        "train": recipe | changes.pop("train", {}),
        **changes,
    }
    path.write_text(yaml.safe_dump(project), encoding="utf-8")
    return path


def _prepared(config: Path, home: Home) -> tuple[Project, Run, Path]:
    project = load_project(config)
    data = merge(project.sources, project.heads, project.split, base=config.parent, out=home.data)
    run = prepare_run(project.name, data, project.backbone, project.train, config=config, home=home)
    return project, run, data.path
