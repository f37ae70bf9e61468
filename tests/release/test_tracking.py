"""The run of a flow in MLflow: opened at its start, its trainings while they go on, its models ranked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from flows.registry.command import runs_page, without_home
from model.jobs.fit import EVENTS_FILE
from model.spec import HeadSpec
from release.home import Home
from release.registry.candidate import Candidate, TrainedModel
from release.registry.client import open_registry
from release.registry.register import RegisteredVersion, register_version
from release.registry.run import close_abandoned_runs
from release.registry.tracking.course import course
from release.registry.tracking.flow_run import (
    Tracked,
    end_flow_run,
    note_tracked,
    open_flow_run,
    open_or_none,
    run_title,
    tracked_of,
)
from release.saved_settings import Settings, save_settings
from release.spec import RegistrySpec

SPEC = RegistrySpec()
EVENTS = [
    {"event": "step", "at": 1_000.5, "step": 1, "steps": 2, "loss": 0.9, "heads": {"mood": 0.9}},
    {
        "event": "step",
        "at": 1_001.0,
        "step": 2,
        "steps": 2,
        "loss": 0.5,
        "learning_rate": 1e-3,
        "rows_per_s": 7,
    },
    {"event": "epoch", "at": 1_002.0, "step": 2, "metrics": {"mood": 0.8}, "mean": 0.8},
]
HEADS = {"mood": HeadSpec(kind="multiclass", labels=("low", "mid", "high"))}
Make = Callable[..., Candidate]


@pytest.fixture
def tracked(home: Home, tmp_path: Path) -> Tracked:
    return open_flow_run(home, "toy", SPEC, flow="retrain", config=tmp_path / "toy.yaml")


def whole(made: Candidate, root: Path) -> Candidate:
    """The candidate with a baseline, the courses of both trainings, and answers to three test rows."""
    models = []
    for label, figure in (("shared", 0.9), ("baseline:mood", 0.7)):
        fitted = root / label.replace(":", "-") / "fitted"
        fitted.mkdir(parents=True)
        (fitted.parent / EVENTS_FILE).write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
        models.append(TrainedModel(label=label, fitted=fitted, metrics={"test/mood/accuracy": figure}))
    answers = root / "shared.npz"
    arrays = {"targets:mood": [0, 1, 2], "decisions:mood": [0, 2, 2]}
    probabilities = np.eye(3, dtype=np.float32)[arrays["decisions:mood"]]
    np.savez(
        answers,
        **{name: np.asarray(values, np.int32) for name, values in arrays.items()},  # type: ignore[arg-type]
        **{"probabilities:mood": probabilities},
    )
    texts = root / "test.texts.jsonl"
    texts.write_text('"one"\n"two"\n"three"\n')
    return replace(
        made,
        models=tuple(models),
        heads=HEADS,
        scores={"shared": answers, "baseline:mood": answers},
        texts=texts,
        metrics={"test/mood/accuracy": 0.9},
        configuration={"heads": {"mood": {"kind": "multiclass", "labels": ["low", "mid", "high"]}}},
    )


@pytest.fixture
def shipped(
    home: Home, candidate: Make, tracked: Tracked, tmp_path: Path
) -> tuple[RegisteredVersion, MlflowClient]:
    spec = RegistrySpec(log_mistakes=True)
    done = register_version(home, "toy", spec, whole(candidate(), tmp_path), tracked=tracked)
    return done, tracked.client


def test_a_run_is_open_while_the_flow_works_and_says_then_what_became_of_it(tracked: Tracked) -> None:
    run = tracked.client.get_run(tracked.run)
    assert run.info.status == "RUNNING" and run.info.run_name.endswith("· running")
    assert run.data.tags["mlflow.source.name"].endswith("toy.yaml")
    assert end_flow_run(tracked, "inconclusive", why="too few rows")
    run = tracked.client.get_run(tracked.run)
    assert run.info.status == "FINISHED" and run.info.run_name == run_title(tracked.began_s, "inconclusive")
    assert run.data.tags["mlflow.note.content"] == "too few rows"
    experiment = tracked.client.get_experiment(tracked.experiment)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_the_address_of_the_runs_opens_the_pages_on_training(tracked: Tracked, home: Home) -> None:
    save_settings(home, "toy", Settings(registry=SPEC))
    below = f"/#/experiments/{tracked.experiment}?workflowType=machine_learning"
    assert runs_page(home.root, "toy", ("ui",)) == f"http://127.0.0.1:5000{below}"
    elsewhere = ("server", "--host=10.0.0.1", "-p", "5001")
    assert runs_page(home.root, "toy", elsewhere) == f"http://10.0.0.1:5001{below}"
    save_settings(home, "new", Settings(registry=SPEC))
    assert runs_page(home.root, "new", ("ui",)) == ""


@pytest.mark.parametrize(
    ("given", "left", "found"),
    [
        (("ui", "--port", "5001"), ("ui", "--port", "5001"), None),
        (("ui", "--home", "state", "--port=5001"), ("ui", "--port=5001"), "state"),
        (("ui", "--home=state"), ("ui",), "state"),
        (("ui", "--home"), ("ui",), None),
    ],
)
def test_the_state_folder_may_be_named_behind_what_mlflow_is_asked(
    given: tuple[str, ...], left: tuple[str, ...], found: str | None
) -> None:
    assert without_home(given) == (left, None if found is None else Path(found))


@pytest.mark.parametrize(
    ("how", "status"), [({"failed": True}, "FAILED"), ({"killed": True}, "KILLED")], ids=str
)
def test_a_run_ends_with_its_real_status(tracked: Tracked, how: dict[str, bool], status: str) -> None:
    end_flow_run(tracked, "failed", **how)
    assert tracked.client.get_run(tracked.run).info.status == status


def test_points_arrive_while_training_with_their_time_and_step(tracked: Tracked) -> None:
    with course(tracked, "baseline:mood") as tell:
        for event in EVENTS:
            tell(event)
    [child] = tracked.client.search_runs([tracked.experiment], "tags.`headgate.model` = 'baseline:mood'")
    assert child.info.run_name == "baseline mood" and child.info.status == "FINISHED"
    assert child.data.tags["mlflow.parentRunId"] == tracked.run
    points = tracked.client.get_metric_history(child.info.run_id, "train/loss")
    assert [(one.step, one.timestamp, one.value) for one in points] == [
        (1, 1_000_500, 0.9),
        (2, 1_001_000, 0.5),
    ]
    assert child.data.metrics["validation/mood"] == 0.8 and child.data.metrics["train/learning_rate"] == 1e-3


def test_a_training_that_fails_leaves_a_failed_run(tracked: Tracked) -> None:
    with pytest.raises(ZeroDivisionError), course(tracked, "shared") as tell:
        tell(EVENTS[0])
        raise ZeroDivisionError
    [child] = tracked.client.search_runs([tracked.experiment], "tags.`headgate.model` = 'shared'")
    assert child.info.status == "FAILED"


def test_a_registry_that_is_away_fails_neither_the_start_nor_a_training(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = RegistrySpec(tracking_uri="http://127.0.0.1:9")
    assert open_or_none(home, "toy", away, flow="retrain", config=tmp_path / "toy.yaml") is None
    gone = Tracked(uri="http://127.0.0.1:9", experiment="1", run="r", began_s=0)
    with course(gone, "shared") as tell:
        tell(EVENTS[0])
    assert not end_flow_run(gone, "deployed")


def test_a_run_is_found_by_the_folder_of_its_flow(tracked: Tracked, tmp_path: Path) -> None:
    note_tracked(tracked, tmp_path)
    assert tracked_of(tmp_path) == tracked
    (tmp_path / "mlflow.json").write_text("[]")
    assert tracked_of(tmp_path) is None


def test_the_version_is_of_the_flows_run_which_stays_open(
    shipped: tuple[RegisteredVersion, MlflowClient], tracked: Tracked, home: Home
) -> None:
    done, client = shipped
    assert done.run_id == tracked.run and client.get_run(tracked.run).info.status == "RUNNING"
    assert close_abandoned_runs(open_registry(home, "toy", SPEC), "toy") == [], "its process lives"
    run = client.get_run(tracked.run)
    assert set(run.data.metrics) == {"test/mood/accuracy"}
    datasets = {
        one.dataset.name: {tag.key: tag.value for tag in one.tags}["mlflow.data.context"]
        for one in run.inputs.dataset_inputs
    }
    assert datasets == {"toy-train": "training", "toy-validation": "validation", "toy-test": "testing"}
    tables = json.loads(run.data.tags["mlflow.loggedArtifacts"])
    assert {one["path"] for one in tables} == {
        "verdict_table.json",
        "eval_results/mood.json",
        "eval_results/mood_mistakes.json",
    }


def test_candidates_and_baselines_are_ranked_by_a_heads_test_metric(
    shipped: tuple[RegisteredVersion, MlflowClient], tracked: Tracked
) -> None:
    _, client = shipped
    by = [{"field_name": "metrics.test/mood/accuracy", "dataset_name": "toy-test", "ascending": False}]
    found = client.search_logged_models([tracked.experiment], order_by=by)
    assert [model.name for model in found] == ["toy", "baseline-mood"]
    assert [one.value for model in found for one in model.metrics or ()] == [0.9, 0.7]
    assert json.loads(found[0].tags["mlflow.modelVersions"]) == [{"name": "toy", "version": 1}]
    assert found[0].params["train.epochs"] == "3"


def test_a_training_that_was_not_seen_is_sent_when_its_model_is_registered(
    shipped: tuple[RegisteredVersion, MlflowClient], tracked: Tracked
) -> None:
    """Of a model from the cache, or where the registry was away meanwhile; and no point twice."""
    _, client = shipped
    runs = client.search_runs([tracked.experiment], f"tags.`mlflow.parentRunId` = '{tracked.run}'")
    assert sorted(run.info.run_name for run in runs) == ["baseline mood", "shared model"]
    for run in runs:
        assert run.info.status == "FINISHED"
        assert len(client.get_metric_history(run.info.run_id, "train/loss")) == 2


def test_pages_say_what_it_answers_its_verdict_and_how_to_ask_it(
    shipped: tuple[RegisteredVersion, MlflowClient], tracked: Tracked
) -> None:
    done, client = shipped
    version = client.get_model_version("toy", str(done.version))
    for text in (version.description, client.get_run(tracked.run).data.tags["mlflow.note.content"]):
        assert text.startswith("**Verdict: pass**") and "`mood`: one of 3 labels (low, mid, high)" in text
        assert f"#/experiments/{tracked.experiment}/runs/{tracked.run}/artifacts/report/report.html" in text
        assert 'mlflow.pyfunc.load_model("models:/toy/1")' in text
    assert "champion" in client.get_registered_model("toy").description
    assert version.tags["verdict"] == "pass" and version.tags["rows"] == "10 train, 5 validation, 5 test"
    assert done.facts["page"].startswith(f"#/experiments/{tracked.experiment}/runs/{tracked.run}?")


def test_wrong_answers_come_first_and_their_texts_only_where_asked_for(
    shipped: tuple[RegisteredVersion, MlflowClient], tracked: Tracked, tmp_path: Path
) -> None:
    _, client = shipped

    def table(path: str) -> dict[str, list[list[object]]]:
        file = Path(client.download_artifacts(tracked.run, path, str(tmp_path)))
        found: dict[str, list[list[object]]] = json.loads(file.read_text())
        return found

    answers = table("eval_results/mood.json")
    assert answers["data"][0] == [2, "mid", "high", 1.0, False, "high"] and len(answers["data"]) == 3
    assert table("eval_results/mood_mistakes.json")["data"] == [[2, "two", "mid", "high", 1.0]]


def test_no_text_of_the_data_reaches_the_registry_unasked(
    home: Home, candidate: Make, tracked: Tracked, tmp_path: Path
) -> None:
    register_version(home, "toy", SPEC, whole(candidate(), tmp_path), tracked=tracked)
    folder = tracked.client.list_artifacts(tracked.run, "eval_results")
    assert [one.path for one in folder] == ["eval_results/mood.json"]
