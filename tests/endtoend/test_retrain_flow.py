"""The whole flow with a tiny random encoder: real Prefect, real MLflow, real HTTP, in seconds."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.client.schemas.objects import FlowRun, StateType

from flows.outcome import Outcome
from flows.prefect_runs import parts_of
from release.home import Home
from tests.support.html import without_own_script
from tests.support.rough_timing import ROUGH_TIMING
from tests.support.tiny_encoder import make_tiny_backbone
from tests.support.told import Somebody, by_http

# The first test waits for the whole flow, of which a dozen processes each import torch.
pytestmark = pytest.mark.timeout(600)
NAME = "kitchen"
WORDS = {"weather": ["sun", "rain", "wind", "snow"], "food": ["tea", "milk", "bread", "soup"]}


def _write_data(folder: Path, rows: int = 1200) -> None:
    """Texts of eight words whose majority is the topic; `drinks` applies when tea or milk is named."""
    dice = random.Random(5)
    split = ["train"] * 6 + ["validation"] + ["test"] * 3
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "marks", "split"])
        for number in range(rows):
            topic = dice.choice(sorted(WORDS))
            other = "food" if topic == "weather" else "weather"
            words = dice.choices(WORDS[topic], k=6) + dice.choices(WORDS[other], k=2)
            dice.shuffle(words)
            marks = [
                mark
                for mark, said in (("drink", {"tea", "milk"}), ("cold", {"snow", "wind"}))
                if said & set(words)
            ]
            writer.writerow(
                [" ".join(words) + " s" * (number % 3), topic, "|".join(marks), split[number % 10]]
            )


def _project(folder: Path, **changes: Any) -> Path:
    project: dict[str, Any] = {
        "name": NAME,
        "backbone": str(folder / "encoder"),
        "heads": {"topic": "multiclass", "marks": "multilabel"},
        "sources": {
            "rows": {
                "path": "rows.csv",
                "split_column": "split",
                "heads": {
                    "topic": "topic",
                    "marks": {
                        "column": "marks",
                        "encoding": "separator",
                        "separator": "|",
                        "empty_means_none": True,
                    },
                },
            }
        },
        "train": {
            "epochs": 6,
            "learning_rate": 3e-3,
            "head_learning_rate": 1e-2,
            "max_length": 16,
            "threads": 1,
        },
        "gates": {
            "margin": 0.1,
            "champion_margin": 0.1,
            # A tiny random encoder is not what a bag of words has to be held beside.
            "references": {"bag_of_words": "warn"},
            **ROUGH_TIMING,
            "http_rate_per_s": 20,
            "slices": [{"column": "source", "margin": 0.2}, {"max_chars": 45, "margin": 0.3}],
        },
        "deploy": {"port": 0, "threads": 1},
        "notify": [{"on": ["deployed"], "url_file": "address"}],
    }
    for section, fields in changes.items():
        project[section] = {**project[section], **fields} if isinstance(fields, dict) else fields
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump(project), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def somebody() -> Iterator[Somebody]:
    """Who is told of deployments."""
    with by_http() as found:
        yield found


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, prefect_harness: None, somebody: Somebody
) -> Iterator[Path]:
    """A folder with data and a tiny encoder; its endpoint is stopped at the end."""
    from release.targets.endpoint import stop

    folder = tmp_path_factory.mktemp("project")
    make_tiny_backbone(folder / "encoder")
    _write_data(folder)
    (folder / "address").write_text(somebody.url)
    (folder / "address").chmod(0o600)
    yield folder
    stop(folder / "home", NAME)


def run(config: Path) -> tuple[str, Outcome]:
    from flows.retrain import retrain

    state = retrain(config, home=config.parent / "home", return_state=True)  # type: ignore[call-overload]
    outcome = state.result(raise_on_failure=False)
    assert isinstance(outcome, Outcome), outcome
    return state.name, outcome


@pytest.fixture(scope="module")
def first(place: Path) -> tuple[str, Outcome]:
    return run(_project(place))


def aliases(place: Path) -> dict[str, int]:
    from mlflow import MlflowClient

    from release.registry.store import tracking_uri

    client = MlflowClient(tracking_uri(Home(place / "home"), None))
    return {alias: int(version) for alias, version in client.get_registered_model(NAME).aliases.items()}


def mlflow_runs(place: Path) -> list[Any]:
    from mlflow import MlflowClient

    from release.registry.store import tracking_uri

    client = MlflowClient(tracking_uri(Home(place / "home"), None))
    experiment = client.get_experiment_by_name(NAME)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def prefect_run(state: str) -> tuple[FlowRun, list[FlowRun]]:
    """The last run of this project that ended so, and the flows below it."""
    with get_client(sync_client=True) as client:
        ended = FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=[state])))
        runs = [run for run in client.read_flow_runs(flow_run_filter=ended) if run.name.startswith(NAME)]
        run = max(runs, key=lambda one: str(one.start_time))
        return run, client.read_flow_runs(flow_run_filter=parts_of([run.id]))


def edges(*runs: FlowRun) -> int:
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run.id for run in runs]))
    with get_client(sync_client=True) as client:
        found = client.read_task_runs(flow_run_filter=wanted, limit=200)
    return sum(len(inputs) for one in found for inputs in one.task_inputs.values())


def artifacts(run: FlowRun) -> set[str | None]:
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    with get_client(sync_client=True) as client:
        return {one.key for one in client.read_artifacts(artifact_filter=wanted)}


def test_a_sound_model_is_deployed_and_answers(place: Path, first: tuple[str, Outcome]) -> None:
    from release.targets.endpoint import ask

    state, outcome = first
    assert (state, outcome.stage, outcome.exit_code) == ("Deployed", "deployed", 0), outcome.reasons
    assert aliases(place) == {"champion": 1}
    reply = ask(place / "home", NAME, ["tea bread soup milk tea bread"])
    assert reply["version"] == 1
    [answer] = reply["answers"]
    assert answer["topic"]["labels"][0]["label"] == "food"
    assert "drink" in {one["label"] for one in answer["marks"]["labels"]}


def test_mlflow_shows_a_run_for_the_flow_and_one_for_each_model(
    place: Path, first: tuple[str, Outcome]
) -> None:
    runs = mlflow_runs(place)
    names = sorted(run.info.run_name for run in runs if "mlflow.parentRunId" in run.data.tags)
    assert names == ["baseline marks", "baseline topic", "shared model"]
    [flow] = [run for run in runs if run.info.run_id == first[1].registered["run_id"]]
    assert flow.info.status == "FINISHED" and flow.info.run_name.endswith("· deployed")
    assert flow.info.end_time - flow.info.start_time > 1000, "it was open while the flow worked"
    assert len(flow.data.metrics) <= 15 and "test/topic/accuracy" in flow.data.metrics


def test_prefects_graph_can_be_read_and_holds_what_was_found(first: tuple[str, Outcome]) -> None:
    run, parts = prefect_run("Deployed")
    assert run.name.startswith(f"{NAME} · ") and not run.tags
    assert {part.name for part in parts} == {
        "baselines",
        "teachers",
        "package baselines",
        "answer",
        "measure",
    }
    assert 20 <= edges(run, *parts) <= 60
    keys = artifacts(run)
    assert {f"{NAME}-{what}" for what in ("verdict", "figures", "data", "findings")} <= keys


def test_the_reports_are_whole_and_fetch_nothing(first: tuple[str, Outcome]) -> None:
    pages = first[1].pages
    assert set(pages) == {"Report", "Data quality", "Data Docs"}
    for title, path in pages.items():
        html = without_own_script(Path(path).read_text(encoding="utf-8"))
        assert "</html>" in html, title
        for fetched in ('src="http', 'href="http', "url(http", "<script", "<link", "@import"):
            assert fetched not in html, f"{title} holds {fetched}"


def test_the_registered_version_loads_and_answers(place: Path, first: tuple[str, Outcome]) -> None:
    import mlflow
    import pandas as pd

    from release.registry.store import tracking_uri

    mlflow.set_tracking_uri(tracking_uri(Home(place / "home"), None))
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    answers = model.predict(pd.DataFrame({"text": ["sun rain wind snow"]}))
    assert "weather" in json.dumps(answers, default=str)


def test_a_rerun_takes_the_baselines_from_the_cache_and_compares_with_the_champion(
    place: Path, first: tuple[str, Outcome]
) -> None:
    cached = sorted((place / "home" / "cache" / "baselines").glob("*/fitted/fit.json"))
    made = [path.stat().st_mtime_ns for path in cached]
    state, outcome = run(_with(place, label_check="baseline"))
    assert state == "Deployed", outcome.reasons
    assert sorted((place / "home" / "cache" / "baselines").glob("*/fitted/fit.json")) == cached
    assert [path.stat().st_mtime_ns for path in cached] == made
    assert any("champion" in row["subject"] for row in outcome.rows)
    assert aliases(place) == {"champion": 2, "previous": 1}
    report = Path(outcome.pages["Report"]).read_text(encoding="utf-8")
    assert "Suspicious labels" in report and "No label was changed" in report
    assert Path(outcome.pages["Suspicious labels"]).read_text().startswith('"source","file","line"')


def test_somebody_is_told_of_a_deployment(first: tuple[str, Outcome], somebody: Somebody) -> None:
    told = somebody.heard(1)[0]
    assert told["title"] == f"headgate {NAME}: deployed, version {first[1].registered['version']}"
    assert f"look: {first[1].pages['Report']}" in told["message"].splitlines()


def test_a_failed_gate_moves_no_alias_and_says_why(place: Path, first: tuple[str, Outcome]) -> None:
    before = aliases(place)
    state, outcome = run(
        _project(place, gates={"floors": {"topic": 1.0, "marks": 1.0}, "max_memory_mb": 1.0})
    )
    assert (state, outcome.stage, outcome.exit_code) == ("Rejected", "model_rejected", 4)
    assert any("memory" in reason for reason in outcome.reasons)
    assert outcome.registered["version"] > max(before.values()), "every candidate is registered"
    assert aliases(place) == before
    assert outcome.deployed == {}


def test_a_broken_model_on_the_same_data_is_rejected(place: Path, first: tuple[str, Outcome]) -> None:
    """One head of the shared model learns nothing, its baseline (from the cache) is sound."""
    before = aliases(place)
    broken = {"topic": {"kind": "multiclass", "weight": 1e-15}, "marks": "multilabel"}
    state, outcome = run(_project(place, heads=broken))
    assert (state, outcome.stage) == ("Rejected", "model_rejected"), outcome.rows
    assert any(reason.startswith("`topic` ") for reason in outcome.reasons)
    own = [reason for reason in outcome.reasons if "against its baseline" in reason]
    assert not any(reason.startswith("`marks` ") for reason in own)
    assert aliases(place) == before


def test_rejected_data_stops_before_anything_is_trained(place: Path, first: tuple[str, Outcome]) -> None:
    before = aliases(place)
    runs = {path for path in (place / "home" / "runs").glob("*/shared")}
    rules = {"rows_per_label": {"severity": "critical"}, "min_rows_per_label": 5000}
    state, outcome = run(_with(place, expectations=rules))
    assert (state, outcome.stage, outcome.exit_code) == ("Rejected", "data_rejected", 3)
    assert any("`expectations.min_rows_per_label` (now 5000)" in reason for reason in outcome.reasons)
    assert {path for path in (place / "home" / "runs").glob("*/shared")} == runs
    assert aliases(place) == before and outcome.registered == {}
    shown, _ = prefect_run("Rejected")
    assert shown.state_type == StateType.FAILED, "dashboards show it as not done"
    assert {f"{NAME}-verdict", f"{NAME}-findings"} <= artifacts(shown)
    [last] = [one for one in mlflow_runs(place) if one.info.run_name.endswith("· data rejected")]
    assert last.info.status == "FINISHED"


def _with(place: Path, **sections: Any) -> Path:
    path = _project(place)
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(raw | sections), encoding="utf-8")
    return path


def test_rolling_back_goes_through_the_same_verification(place: Path, first: tuple[str, Outcome]) -> None:
    from flows.rollback import rollback
    from release.targets.endpoint import ask

    run(_project(place))
    before = aliases(place)
    state = rollback(_project(place), home=place / "home", return_state=True)  # type: ignore[call-overload]
    assert state.name == "RolledBack"
    assert aliases(place)["champion"] == before["previous"]
    assert ask(place / "home", NAME, ["sun"])["version"] == before["previous"]


@pytest.mark.slow
def test_baselines_of_two_seeds_are_scored_and_judged_as_one_and_one_is_timed_for_all(
    place: Path, first: tuple[str, Outcome]
) -> None:
    fits = place / "home" / "cache" / "baselines"
    before = {path: path.stat().st_mtime_ns for path in fits.glob("*/fitted/fit.json")}
    _, outcome = run(_project(place, gates={"baseline_seeds": 2}))
    assert outcome.registered, outcome.reasons
    after = {path: path.stat().st_mtime_ns for path in fits.glob("*/fitted/fit.json")}
    assert before.items() <= after.items() and len(after) == len(before) + 2, "one more seed for each head"
    report = Path(outcome.pages["Report"]).read_text(encoding="utf-8")
    assert "differs from the mean of 2 baselines" in report and "baseline:topic:2" in report
    timed = max((place / "home" / "runs").glob("*/evidence/timing-job.json"))
    [alone] = set(json.loads(timed.read_text(encoding="utf-8"))["bundles"]) - {"shared", "champion"}
    told = json.loads(timed.with_name("timing.json").read_text(encoding="utf-8"))
    assert {alone, *told["timed_as"]} == {"baseline:topic", "baseline:marks"}
    assert told["timed_as"] == {label: alone for label in told["timed_as"]}
