"""A project with one head, generated rows and a tiny encoder, which is deployed: a whole flow, soon."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.rough_timing import ROUGH_TIMING
from tests.support.tiny_encoder import WORDS, make_tiny_backbone

TOPICS = {"weather": WORDS[:4], "food": WORDS[4:8]}
"""Label → words that most of its texts are made of."""
SPLITS = ("train",) * 6 + ("validation",) + ("test",) * 3


def tiny_config(folder: Path) -> Path:
    """The configuration, written into `folder`; its gates look at latency only roughly."""
    make_tiny_backbone(folder / "encoder")
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "split"])
        for number in range(600):
            first = number * 7919 % len(WORDS)
            words = [WORDS[(first // 4 * 4 + number // 12**power) % len(WORDS)] for power in range(4)]
            topic = ("weather", "food", "animal")[first // 4]
            writer.writerow([" ".join([WORDS[first], *words]), topic, SPLITS[number % 10]])
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
    dice = random.Random(5)
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "split"])
        for number in range(1000):
            topic, other = dice.sample(sorted(TOPICS), 2)
            words = dice.choices(TOPICS[topic], k=6) + dice.choices(TOPICS[other], k=2)
            dice.shuffle(words)
            writer.writerow([" ".join(words) + " s" * (number % 3), topic, SPLITS[number % 10]])
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


def write_rows(path: Path, week: int, trouble: str = "", drifts: Sequence[int] = ()) -> None:
    """The rows that there are in a week: those of the weeks before, and new ones. At once, or not at all.

    Args:
        trouble: `bad data` (half of the labels unknown), `worse model` (labels to learn from by chance), or
            nothing of these.
        drifts: weeks in which many rows of one topic came: the first, the other, the first, …
    """
    blocks = [(5, 1000 + 20 * week, sorted(TOPICS))]
    came = [one for one in drifts if one <= week]
    for number, one in enumerate(came):
        blocks.append((one, 1500 + 30 * one, [sorted(TOPICS)[number % 2]]))
    rows = [
        [text, topic, SPLITS[number % 10]]
        for seed, count, topics in blocks
        for number, (text, topic) in enumerate(_texts(seed, count, topics))
    ]
    if trouble == "worse model":  # as many of each as before: it is no drift
        learned = [row for row in rows if row[2] != "test"]
        topics = [row[1] for row in learned]
        random.Random(week).shuffle(topics)
        for row, topic in zip(learned, topics, strict=True):
            row[1] = topic
    if trouble == "bad data":
        for row in rows[1::2]:
            row[1] += "?"
    new = path.with_suffix(".new")
    with new.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "topic", "split"], *rows])
    new.replace(path)


def _texts(seed: int, count: int, topics: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Texts and their topics, the same for the same seed however many."""
    dice = random.Random(seed)
    for number in range(count):
        topic = dice.choice(topics)
        other = next(one for one in TOPICS if one != topic)
        words = dice.choices(TOPICS[topic], k=6) + dice.choices(TOPICS[other], k=2)
        dice.shuffle(words)
        yield " ".join(words) + " s" * (number % 3), topic
