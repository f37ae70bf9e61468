"""Rows move between the splits from run to run: what the champion was trained on is no test of it.

Real Prefect, real MLflow, a tiny encoder; the splits are given by the file.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.outcome import Outcome
from tests.support.rough_timing import ROUGH_TIMING
from tests.support.tiny_encoder import make_tiny_backbone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NAME = "moving"
WORDS = {"weather": ["sun", "rain", "wind", "snow"], "food": ["tea", "milk", "bread", "soup"]}
FIRST = ["train"] * 6 + ["validation"] + ["test"] * 3
"""Splits of ten rows, in turn; 360 of 1,200 are test rows."""
ONE_MOVED = ["train"] * 5 + ["test", "validation"] + ["test", "test", "train"]
"""One of three test rows was a training row."""
EXCHANGED = ["test"] * 3 + ["train"] * 3 + ["validation"] + ["train"] * 3
"""All test rows were training rows."""


def write_rows(folder: Path, splits: Sequence[str]) -> None:
    dice = random.Random(5)
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "split"])
        for number in range(1200):
            topic = dice.choice(sorted(WORDS))
            other = "food" if topic == "weather" else "weather"
            words = dice.choices(WORDS[topic], k=6) + dice.choices(WORDS[other], k=2)
            dice.shuffle(words)
            writer.writerow([f"{' '.join(words)} {'s ' * (number % 3)}n{number}", topic, splits[number % 10]])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, prefect_harness: None) -> Iterator[Path]:
    from release.targets.endpoint import stop

    folder = tmp_path_factory.mktemp("project")
    make_tiny_backbone(folder / "encoder")
    project: dict[str, Any] = {
        "name": NAME,
        "backbone": str(folder / "encoder"),
        "heads": {"topic": "multiclass"},
        "sources": {"rows": {"path": "rows.csv", "split_column": "split", "heads": {"topic": "topic"}}},
        "train": {
            "epochs": 6,
            "learning_rate": 3e-3,
            "head_learning_rate": 1e-2,
            "max_length": 24,
            "threads": 1,
        },
        "gates": {
            "margin": 0.2,
            "champion_margin": 0.2,
            **ROUGH_TIMING,
            "http_rate_per_s": 20,
        },
        "deploy": {"port": 0, "threads": 1},
    }
    (folder / "project.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
    yield folder
    stop(folder / "home", NAME)


def run(place: Path, splits: Sequence[str]) -> tuple[str, Outcome, dict[str, dict[str, str]]]:
    """(State, outcome, verdict rows by subject) of a run on these splits."""
    from flows.retrain import retrain

    write_rows(place, splits)
    state = retrain(place / "project.yaml", home=place / "home", return_state=True)  # type: ignore[call-overload]
    outcome = state.result(raise_on_failure=False)
    assert isinstance(outcome, Outcome), outcome
    return state.name, outcome, {row["subject"]: dict(row) for row in outcome.rows}


def test_only_rows_that_are_new_to_the_champion_are_compared(place: Path) -> None:
    state, outcome, rows = run(place, FIRST)
    assert state == "Deployed", outcome.reasons
    assert "test rows vs champion" not in rows, "nothing served before"

    state, outcome, rows = run(place, ONE_MOVED)
    assert state == "Deployed", outcome.reasons
    assert rows["test rows vs champion"]["metric"] == "240 of 360 rows"
    report = Path(outcome.pages["Report"]).read_text(encoding="utf-8")
    assert "Compared with it on test rows" in report and "240 of 360 rows" in report
    assert "120 are left out" in report
    quality = Path(outcome.pages["Data quality"]).read_text(encoding="utf-8")
    assert "Test rows that the champion knows" in quality and "120 of the 360" in quality

    state, outcome, rows = run(place, EXCHANGED)
    assert (state, outcome.stage) == ("Rejected", "model_rejected")
    assert rows["test rows vs champion"] | {} == {
        **rows["test rows vs champion"],
        "metric": "0 of 360 rows",
        "verdict": "inconclusive",
    }
    assert {subject for subject, row in rows.items() if row["verdict"] != "pass"} == {
        "topic vs champion",
        "test rows vs champion",
    }
    assert all("split.seed" in reason for reason in outcome.reasons)
    quality = Path(outcome.pages["Data quality"]).read_text(encoding="utf-8")
    assert "cannot decide then" in quality
