"""Out of fold, a row that is labelled for a head is taught by a model that has not seen it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect import flow

from flows.baselines import fit_baselines
from flows.config.schema import Project
from flows.label_check import search_labels
from flows.parts.folds import answers_out_of_fold
from flows.teachers import teachers
from model.folds import deal_folds
from model.jobs.baselines import baseline_key
from model.references import LogitsRef, Run
from model.rows import open_rows
from model.spec import HeadSpec, TrainSpec
from release.home import Home
from tasks.train.answer_rows import answer_rows
from tasks.train.combine_folds import combine_folds
from tests.support.runs import make_run

Prepared = Callable[[Path, Home], tuple[Project, Run, Path]]


def _times(home: Home) -> dict[Path, int]:
    """What was made by trainings and teachers, and when."""
    files = [*home.cache.glob("baselines/*/fitted/fit.json"), *home.cache.glob("teachers/*/*.npy")]
    return {file: file.stat().st_mtime_ns for file in files}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_labelled_rows_are_taught_by_a_model_that_was_fitted_without_them(
    tmp_path: Path, two_heads: Callable[..., Path], prepared: Prepared, prefect_harness: None
) -> None:
    home, config = Home(tmp_path / "home"), two_heads()

    @flow
    def one_head() -> tuple[Run, str, str, list[Any]]:
        project, run, _ = prepared(config, home)
        baseline = fit_baselines(project, run)["topic"][0]
        whole = answer_rows("topic", baseline, run.rows, run)
        folds = answers_out_of_fold(project, run, "topic", folds=2, seed=17)
        return run, whole, combine_folds("topic", whole, folds, run), folds

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
def test_teachers_and_label_check_share_their_folds(
    tmp_path: Path, two_heads: Callable[..., Path], prepared: Prepared, prefect_harness: None
) -> None:
    home = Home(tmp_path / "home")
    recipe = {"distillation_teachers": "out_of_fold", "distillation_folds": 2}
    config = two_heads(label_check={"mode": "out_of_fold", "folds": 2}, train=recipe)

    @flow
    def both() -> tuple[dict[str, str], Run]:
        project, run, dataset = prepared(config, home)
        baselines = {head: fitted[0] for head, fitted in fit_baselines(project, run).items()}
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

    def fold(name: str, rows: list[int], value: float) -> LogitsRef:
        np.save(tmp_path / f"{name}-rows.npy", np.array(rows))
        logits = taught(name, np.full((len(rows), 2), value))
        return LogitsRef(split="train", logits=logits, positions=str(tmp_path / f"{name}-rows.npy"))

    baseline = taught("whole", np.zeros((5, 2)))
    folds = [fold("first", [0, 3], 1.0), fold("second", [4], 2.0)]

    @flow
    def put_together(parts: list[LogitsRef]) -> str:
        run = make_run(tmp_path, tmp_path, {}, cache=tmp_path / "cache")
        return combine_folds("topic", baseline, parts, run)

    file = Path(put_together(folds))
    assert np.load(file)[:, 1].tolist() == [1, 0, 0, 1, 2]
    made = file.stat().st_mtime_ns
    assert Path(put_together(folds)) == file and file.stat().st_mtime_ns == made
    other = put_together([folds[0], fold("third", [4], 3.0)])
    assert other != str(file) and np.load(other)[:, 0].tolist() == [1, 0, 0, 1, 3]
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*.npy")) == ["topic.npy"] * 2


def test_who_teaches_is_no_part_of_a_baseline(tmp_path: Path) -> None:
    head, plain = HeadSpec(kind="multiclass", labels=("a", "b")), TrainSpec()
    project = Project.model_validate(
        {"name": "x", "heads": {"a": "multiclass"}, "sources": {"s": {"path": "a.csv", "heads": {"a": "a"}}}}
    )
    assert project.train.distillation_teachers == "in_sample"

    def key(train: TrainSpec) -> str:
        return baseline_key("a", head, "f", make_run(tmp_path, tmp_path, {"a": head}, train=train))

    keys = {
        key(train)
        for train in (
            plain,
            replace(plain, distillation_teachers="out_of_fold"),
            replace(plain, distillation_teachers="out_of_fold", distillation_folds=7),
            replace(plain, distillation=0.0, distillation_temperature=1.0),
        )
    }
    assert len(keys) == 1
    assert keys != {key(replace(plain, epochs=4))}


def test_a_baseline_of_rows_that_moved_between_the_splits_is_another_one(tmp_path: Path) -> None:
    """The fingerprint holds the head's rows with their splits, so a cached baseline never saw today's test
    rows."""
    head = HeadSpec(kind="multiclass", labels=("a", "b"))
    run = make_run(tmp_path, tmp_path, {"a": head})
    assert baseline_key("a", head, "before", run) != baseline_key("a", head, "after", run)
    assert baseline_key("a", head, "same", run) != baseline_key("b", head, "same", run), (
        "two heads of one column"
    )
