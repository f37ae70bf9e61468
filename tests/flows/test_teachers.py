"""Out of fold, a row that is labelled for a head is taught by a model that has not seen it."""

from __future__ import annotations

import csv
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from prefect import flow

from benchmarks.tiny_encoder import make_tiny_backbone
from flows.config import Project, load_project
from flows.folds import answers_out_of_fold
from flows.label_check import search_labels
from flows.teachers import teachers
from model.folds import deal_folds
from model.rows import open_rows
from model.spec import HeadSpec, TrainSpec
from tasks.fit import FittedRef, baseline_key, fit_baseline, teach
from tasks.folds import AnswersRef, teach_out_of_fold
from tasks.home import Home
from tasks.merge import merge
from tasks.prepare import Run, prepare_run

WORDS = {"weather": ["sun", "rain", "wind", "snow"], "food": ["tea", "milk", "bread", "soup"]}
ROWS = 210


def _project(folder: Path, **changes: Any) -> Path:
    """Two heads; every third training row leaves `topic` unlabelled, others `drink`."""
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
        "train": {**recipe, "distillation_teachers": "out_of_fold", "distillation_folds": 2},
        **changes,
    }
    path.write_text(yaml.safe_dump(project), encoding="utf-8")
    return path


def _prepared(config: Path, home: Home) -> tuple[Project, Run, Path]:
    project = load_project(config)
    data = merge(project.sources, project.heads, project.split, base=config.parent, out=home.data)
    run = prepare_run(project.name, data, project.backbone, project.train, config=config, home=home)
    return project, run, data.path


def _baseline(project: Project, run: Run, name: str) -> FittedRef:
    head = run.heads[name]
    key = baseline_key(head, run.head_fingerprints[name], project.backbone, run.encoder_sha256, project.train)
    return fit_baseline(
        name,
        head,
        key=key,
        backbone=project.backbone,
        train=project.train,
        rows=run.rows,
        cache=run.cache,
        logs=run.logs,
    )


def _taught(baseline: FittedRef, run: Run, name: str) -> str:
    return teach(name, baseline, rows=run.rows, texts_sha256=run.texts_sha256, cache=run.cache, logs=run.logs)


def _times(home: Home) -> dict[Path, int]:
    """What was made by trainings and teachers, and when."""
    files = [*home.cache.glob("baselines/*/fitted/fit.json"), *home.cache.glob("teachers/*/*.npy")]
    return {file: file.stat().st_mtime_ns for file in files}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_labelled_rows_are_taught_by_a_model_that_was_fitted_without_them(
    tmp_path: Path, prefect_harness: None
) -> None:
    home, config = Home(tmp_path / "home"), _project(tmp_path)

    @flow
    def one_head() -> tuple[Run, str, str, list[Any]]:
        project, run, _ = _prepared(config, home)
        whole = _taught(_baseline(project, run, "topic"), run, "topic")
        folds = answers_out_of_fold(project, run, "topic", folds=2, seed=17)
        return run, whole, teach_out_of_fold("topic", whole, folds, cache=run.cache), folds

    run, whole, file, folds = one_head()
    by_baseline, by_folds = np.load(whole), np.load(file)
    part = open_rows(run.rows).split("train", {"topic": run.heads["topic"]})
    labelled, fold = part.labelled("topic"), deal_folds(part, "topic", 2, 17)
    assert by_folds.shape == by_baseline.shape == (part.count, 2) and 0 < labelled.sum() < part.count
    assert (by_folds[~labelled] == by_baseline[~labelled]).all()
    assert (by_folds[labelled] != by_baseline[labelled]).any(axis=1).all()
    texts = list(part.texts())
    for number, answers in enumerate(folds):
        own = np.flatnonzero(fold == number)
        assert (np.load(answers.positions) == own).all()
        assert (by_folds[own] == np.load(answers.logits)).all()
        trained_on = set(open_rows(Path(answers.positions).parent).split("train").texts())
        assert trained_on and not trained_on & {texts[row] for row in own}
    made = _times(home)
    one_head()
    assert _times(home) == made, "what is in the cache is not made again"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_teachers_and_label_check_share_their_folds(tmp_path: Path, prefect_harness: None) -> None:
    home = Home(tmp_path / "home")
    config = _project(tmp_path, label_check={"mode": "out_of_fold", "folds": 2})

    @flow
    def both() -> tuple[dict[str, str], Run]:
        project, run, dataset = _prepared(config, home)
        baselines = {name: _baseline(project, run, name) for name in run.heads}
        found = teachers(project, run, baselines)
        assert len(list(home.cache.glob("baselines/*/fitted/fit.json"))) == 6
        search_labels(project, dataset, run, baselines)
        return found, run

    found, run = both()
    assert set(found) == {"topic", "drink"}
    for name, file in found.items():
        assert np.load(file).shape == (open_rows(run.rows).counts["train"], len(run.heads[name].labels))
    made = _times(home)
    assert sum(file.name == "fit.json" for file in made) == 6, (
        "a baseline and two folds, for each of two heads"
    )
    again, _ = both()
    assert again == found and _times(home) == made


def test_folds_are_put_together_once_for_each_choice_of_them(tmp_path: Path, prefect_harness: None) -> None:
    def taught(name: str, values: np.ndarray[Any, Any]) -> str:
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "topic.npy", values.astype(np.float32))
        return str(tmp_path / name / "topic.npy")

    def fold(name: str, rows: list[int], value: float) -> AnswersRef:
        np.save(tmp_path / f"{name}-rows.npy", np.array(rows))
        logits = taught(name, np.full((len(rows), 2), value))
        return AnswersRef(split="train", logits=logits, positions=str(tmp_path / f"{name}-rows.npy"))

    baseline = taught("whole", np.zeros((5, 2)))
    folds = [fold("first", [0, 3], 1.0), fold("second", [4], 2.0)]

    @flow
    def put_together(parts: list[AnswersRef]) -> str:
        return teach_out_of_fold("topic", baseline, parts, cache=tmp_path / "cache")

    file = Path(put_together(folds))
    assert np.load(file)[:, 1].tolist() == [1, 0, 0, 1, 2]
    made = file.stat().st_mtime_ns
    assert Path(put_together(folds)) == file and file.stat().st_mtime_ns == made
    other = put_together([folds[0], fold("third", [4], 3.0)])
    assert other != str(file) and np.load(other)[:, 0].tolist() == [1, 0, 0, 1, 3]
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*.npy")) == ["topic.npy"] * 2


def test_who_teaches_is_no_part_of_a_baseline() -> None:
    head, plain = HeadSpec(kind="multiclass", labels=("a", "b")), TrainSpec()
    project = Project.model_validate(
        {"name": "x", "heads": {"a": "multiclass"}, "sources": {"s": {"path": "a.csv", "heads": {"a": "a"}}}}
    )
    assert project.train.distillation_teachers == "in_sample"
    keys = {
        baseline_key(head, "f", project.backbone, "e", train)
        for train in (
            plain,
            replace(plain, distillation_teachers="out_of_fold"),
            replace(plain, distillation_teachers="out_of_fold", distillation_folds=7),
            replace(plain, distillation=0.0, distillation_temperature=1.0),
        )
    }
    assert len(keys) == 1
    assert keys != {baseline_key(head, "f", project.backbone, "e", replace(plain, epochs=4))}
