"""Nine in one, in small: a tiny encoder in two sizes on made rows; one training in a process of its own."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import nine_in_one, nine_in_one_table, real_rows
from benchmarks.compared_fits import read_results
from benchmarks.measured_process import run_measured
from model.rows import open_rows
from model.spec import BackboneSpec, FitJob, TrainSpec
from model.train.fit import fit
from tests.support.tiny_encoder import WORDS, make_tiny_backbone

HEADS: dict[str, dict[str, Any]] = {
    "topic": {"kind": "multiclass", "labels": ["weather", "food", "animal"]},
    "names": {"kind": "multilabel", "labels": ["sun", "tea"]},
    "drink": {"kind": "multiclass", "labels": ["no", "yes"]},
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Two corpora of nonsense: one labels topic and, mostly, drink; the other names."""
    folder, random = tmp_path / "rows", np.random.default_rng(1)
    folder.mkdir()
    digests, counts = {}, {"train": 60, "validation": 30, "test": 40}
    for split, count in counts.items():
        words = random.choice(WORDS, (count, 3))
        lines = [json.dumps(" ".join(three)) + "\n" for three in words.tolist()]
        content = "".join(lines).encode()
        (folder / f"{split}.texts.jsonl").write_bytes(content)
        digests[split] = hashlib.sha256(content).hexdigest()
        first = np.arange(count) < count * 2 // 3
        topic = np.array([WORDS.index(word) // 4 for word in words[:, 0]])
        drink = np.isin(words[:, 0], ["tea", "milk"])
        named = np.stack([(words == label).any(axis=1) for label in ("sun", "tea")], axis=1)
        np.save(folder / f"{split}.weight.npy", np.ones(count, np.float32))
        np.save(folder / f"{split}.topic.npy", np.where(first, topic, -1).astype(np.int32))
        known = first & (np.arange(count) % 4 > 0)
        np.save(folder / f"{split}.drink.npy", np.where(known, drink, -1).astype(np.int32))
        np.save(folder / f"{split}.names.npy", np.where(first[:, None], -1, named).astype(np.int8))
    (folder / "rows.json").write_text(json.dumps({"heads": HEADS, "rows": counts, "digest": digests}))
    return folder


def test_heads_of_the_same_texts_draw_once(rows: Path) -> None:
    folder = open_rows(rows)
    assert real_rows.heads_that_draw(folder) == ["topic", "names"], "drink labels topic's texts"
    assert nine_in_one.budget_of(folder, 900, 50) == {
        "train": {"topic": 900, "names": 900},
        "validation": {"topic": 300, "names": 300},
        "test": {"topic": 50, "names": 50},
    }
    assert nine_in_one.budget_of(folder, None, 50)["train"]["topic"] == 60


def test_a_share_keeps_the_proportions_of_the_heads(rows: Path) -> None:
    # two thirds of 60 and of 30 rows are topic's, a third names': a quarter of 40, 20 (rounded up), of 20, 10
    assert real_rows.share_budget(open_rows(rows), 0.25, test_rows=7) == {
        "train": {"topic": 10, "names": 5},
        "validation": {"topic": 5, "names": 3},
        "test": {"topic": 7, "names": 7},
    }


def test_memory_is_that_of_the_command_and_not_of_who_started_it() -> None:
    held = b"x" * 300_000_000  # more than either command needs
    small = run_measured([sys.executable, "-c", "pass"])
    large = run_measured([sys.executable, "-c", "len(b'x' * 150_000_000)"])
    assert small.peak_mib < 60, len(held)
    assert 143 < large.peak_mib < 220
    assert small.cpu_seconds > 0 and small.seconds < 60


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"status 3: no rows here"):
        run_measured(
            [sys.executable, "-c", "import sys; print('no rows here', file=sys.stderr); sys.exit(3)"]
        )


def fit_here_or_there(job: FitJob, title: str) -> None:
    """Starting a process for a training takes seconds: only one of them is started as in earnest."""
    if title == "light shared":
        nine_in_one.fit_measured(job, title)
        return
    fit(job, lambda event: None)
    Path(job.out, "spent.json").write_text('{"peak_mib": 500.0}')


@pytest.mark.timeout(300)
def test_both_sizes_are_trained_once_and_compared(rows: Path, tmp_path: Path) -> None:
    tiny = BackboneSpec(name=str(make_tiny_backbone(tmp_path / "tiny")))
    recipe = TrainSpec(epochs=2, learning_rate=3e-3, max_length=16, threads=1)
    race = nine_in_one.Race(tmp_path, rows, recipe, fit_here_or_there)
    whole = race.size("whole", tiny)
    light = race.size("light", replace(tiny, layers=1))
    answering = race.answering({"whole": whole, "light": light})
    assert list(whole["shared"]) == list(HEADS) == list(light["baseline"])
    assert all(0 <= r[m][h] <= 1 for r in (whole, light) for m in ("shared", "baseline") for h in HEADS)
    assert whole["labelled"]["train"] == {"topic": 40, "names": 20, "drink": 30}
    assert 100 < light["peak_mib"] < 4000 and light["peak_mib"] != light["baseline_peak_mib"] == 500
    assert whole["teaching_seconds"] > 0 and light["seconds"] > 0
    assert answering["bundle_mb"]["light"] < answering["bundle_mb"]["whole"]

    tables = nine_in_one_table.tables_of(whole, light, answering)
    assert "training: shared by baselines" in tables and "42% less time" in tables
    figures = nine_in_one_table.measures_of(whole, light, answering)
    assert all(figure.value is not None and np.isfinite(figure.value) for figure in figures)

    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("fit.json")}
    assert len(made) == 2 * (len(HEADS) + 1)
    assert race.size("whole", tiny) == whole, "known already"
    assert race.answering({"whole": whole, "light": light}) == answering
    assert len(read_results(tmp_path / "results.jsonl")) == 3
    (tmp_path / "results.jsonl").unlink()
    again = race.size("whole", tiny)
    assert again["baseline"] == whole["baseline"]
    changed = [path for path, at in made.items() if path.stat().st_mtime_ns != at]
    assert len(changed) == 1 and "shared-" in str(changed[0]), "baselines are kept"


def test_the_tables_by_hand() -> None:
    def record(a: float, b: float, seconds: float) -> dict[str, Any]:
        return {
            "metric": {"a": "accuracy", "b": "macro_f1"},
            "shared": {"a": a, "b": b},
            "baseline": {"a": 0.5, "b": 0.3},
            "seconds": seconds,
            "baseline_seconds": 100.0,
            "cpu_seconds": 80.0,
            "baseline_cpu_seconds": 160.0,
            "teaching_seconds": 10.0,
            "peak_mib": 1000.0,
            "baseline_peak_mib": 900.0,
            "labelled": {"train": {"a": 1500, "b": 20}, "test": {"a": 9, "b": 8}},
        }

    whole, light = record(0.6, 0.4, 50.0), record(0.5, 0.3, 29.0)
    _, first, second, mean = nine_in_one_table.head_table(whole, light).splitlines()
    assert first.split() == [
        "a",
        "accuracy",
        "1,500",
        "9",
        *["0.600", "0.500", "+0.100", "0.500", "0.500", "+0.000"],
    ]
    assert second.split()[-3:] == ["0.300", "0.300", "+0.000"]
    assert mean.split() == ["mean", "0.500", "0.400", "+0.100", "0.400", "0.400", "+0.000"]
    answering = {
        name: {"whole": 10.0, "light": 7.0, "control": 10.5}
        for name in ("median_ms", "peak_mib", "bundle_mb")
    }
    lines = nine_in_one_table.size_table(whole, light, answering).splitlines()
    cells = {line.rsplit("  ", 3)[0].split("  ")[0]: line.split()[-3:] for line in lines}
    assert cells["training: shared model, s"] == ["50.00", "29.00", "0.58"]
    assert cells["training: shared by baselines"] == ["0.5000", "0.2900", "0.58"]
    assert cells["mean metric, shared"] == ["+0.5000", "+0.4000", "-0.1000"]
    assert cells["mean of shared - baseline"] == ["+0.1000", "+0.0000", "-0.1000"]
