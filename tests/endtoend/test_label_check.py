"""Wrong labels that were planted in the data are found by models that have not seen them: real trainings."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from prefect import flow

from expectations.data.suspects import Suspects
from tests.support.tiny_encoder import make_tiny_backbone

TOPICS = {"weather": ["sun", "rain", "wind", "snow"], "food": ["tea", "milk", "bread", "soup"]}
ROWS, WRONG = 700, 20


def _rows(folder: Path) -> set[int]:
    """Texts of words of one topic, which is what they are labelled with but for some training rows, whose
    lines are returned."""
    dice, wrong = random.Random(7), set()
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "split"])
        for number in range(ROWS):
            topic = dice.choice(sorted(TOPICS))
            split = ["train"] * 5 + ["validation", "test"]
            given = topic
            if split[number % 7] == "train" and len(wrong) < WRONG and number % 11 == 0:
                given = next(other for other in TOPICS if other != topic)
                wrong.add(number + 2)
            text = " ".join(dice.choices(TOPICS[topic], k=9)) + " s" * (number % 3)
            writer.writerow([text, given, split[number % 7]])
    return wrong


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_planted_errors_are_listed_first_and_changed_by_nobody(tmp_path: Path, prefect_harness: None) -> None:
    from flows.baselines import fit_baselines
    from flows.config.load import load_project
    from flows.label_check import search_labels
    from release.home import Home
    from tasks.data.merge import merge
    from tasks.data.prepare_run import prepare_run

    make_tiny_backbone(tmp_path / "encoder")
    wrong = _rows(tmp_path)
    config = tmp_path / "project.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "name": "planted",
                "backbone": str(tmp_path / "encoder"),
                "heads": {"topic": "multiclass"},
                "sources": {
                    "rows": {"path": "rows.csv", "split_column": "split", "heads": {"topic": "topic"}}
                },
                "train": {
                    "epochs": 4,
                    "learning_rate": 3e-3,
                    "head_learning_rate": 1e-2,
                    "max_length": 16,
                    "threads": 1,
                },
                "label_check": {"mode": "out_of_fold", "folds": 2},
            }
        )
    )
    project, home = load_project(config), Home(tmp_path / "home")

    @flow
    def only_the_labels() -> Suspects | None:
        data = merge(project.sources, project.heads, project.split, base=tmp_path, out=home.data)
        run = prepare_run(project.name, data, project.backbone, project.train, config=config, home=home)
        [(baseline,)] = fit_baselines(project, run).values()
        return search_labels(project, data.path, run, {"topic": baseline})

    found = only_the_labels()
    assert found is not None
    [total] = found.totals
    assert total.looked > 600 and not total.seen
    listed = pq.read_table(found.parquet).to_pylist()
    first = {row["line"] for row in listed[:WRONG] if row["split"] == "train"}
    assert len(first & wrong) >= 0.9 * WRONG, sorted(first ^ wrong)
    assert {row["file"] for row in listed} == {"rows.csv"}
    assert len(list(home.cache.glob("baselines/*/fitted/fit.json"))) == 3
    [merged] = home.data.glob("*/observations.parquet")
    given = pq.read_table(merged.parent / "dataset.parquet", columns=["head:topic"])
    assert given.num_rows == total.looked and given["head:topic"].null_count == 0
