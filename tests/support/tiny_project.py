"""A project with one head, generated rows and a tiny encoder, which is deployed: a whole flow, soon."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import yaml

from tests.support.rough_timing import ROUGH_TIMING
from tests.support.tiny_encoder import WORDS, make_tiny_backbone


def tiny_config(folder: Path) -> Path:
    """The configuration, written into `folder`; its gates look at latency only roughly."""
    make_tiny_backbone(folder / "encoder")
    splits = ("train",) * 6 + ("validation",) + ("test",) * 3
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "split"])
        for number in range(600):
            first = number * 7919 % len(WORDS)
            words = [WORDS[(first // 4 * 4 + number // 12**power) % len(WORDS)] for power in range(4)]
            topic = ("weather", "food", "animal")[first // 4]
            writer.writerow([" ".join([WORDS[first], *words]), topic, splits[number % 10]])
    project = {
        "name": "tiny",
        "backbone": str(folder / "encoder"),
        "heads": {"topic": "multiclass"},
        "sources": {
            "rows": {
                "path": str(folder / "rows.csv"),
                "split_column": "split",
                "heads": {"topic": "topic"},
            }
        },
        "train": {"epochs": 1, "learning_rate": 3e-3, "max_length": 16, "threads": 1},
        "package": {"precision": "float32"},
        "gates": {**ROUGH_TIMING, "http_rate_per_s": 60},
        "deploy": {"threads": 1},
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(project), encoding="utf-8")
    return path


def deployed_config(folder: Path, name: str = "tiny") -> Path:
    """A configuration whose model learns what it is to learn, and is deployed: two labels, told by most words
    of a text."""
    make_tiny_backbone(folder / "encoder")
    dice, groups = random.Random(5), {"weather": WORDS[:4], "food": WORDS[4:8]}
    splits = ("train",) * 6 + ("validation",) + ("test",) * 3
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "split"])
        for number in range(1000):
            topic, other = dice.sample(sorted(groups), 2)
            words = dice.choices(groups[topic], k=6) + dice.choices(groups[other], k=2)
            dice.shuffle(words)
            writer.writerow([" ".join(words) + " s" * (number % 3), topic, splits[number % 10]])
    columns = {"path": "rows.csv", "split_column": "split", "heads": {"topic": "topic"}}
    recipe = {"epochs": 6, "learning_rate": 3e-3, "head_learning_rate": 1e-2, "max_length": 16, "threads": 1}
    project: dict[str, Any] = {
        "name": name,
        "backbone": str(folder / "encoder"),
        "heads": {"topic": "multiclass"},
        "sources": {"rows": columns},
        "train": recipe,
        "package": {"precision": "float32"},
        "gates": {
            **ROUGH_TIMING,
            "margin": 0.1,
            "champion_margin": 0.1,
            "references": {"bag_of_words": "warn"},
            "http_rate_per_s": 20,
        },
        "deploy": {"port": 0, "threads": 1},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(project), encoding="utf-8")
    return path
