"""A deployed schedule produces runs, a worker executes one, and drift leads to a retraining: real processes.

One Prefect server and one worker for the module, on loopback, with a home of their own.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml

from release.home import Home
from release.registry.client import BUNDLE_TAG, open_registry
from release.spec import RegistrySpec
from serving.store.manifest import ReleaseManifest
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import ensure_key_pair
from tasks.data.emit_drift_event import DRIFT_EVENT, project_resource
from tests.support.toy_bundle import PASS, write_bundle, write_bundle_manifest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_WAIT_S = 180.0
NAME = "scheduled"
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True, slots=True)
class Server:
    """A running Prefect server and what talks to it."""

    url: str
    environment: dict[str, str]
    folder: Path

    def ask(self, route: str, **body: Any) -> Any:
        for _ in range(5):
            reply = httpx.post(f"{self.url}{route}", json=body, timeout=30)
            if reply.status_code != 503:  # its database is locked by another writer
                break
            time.sleep(1)
        reply.raise_for_status()
        return reply.json()

    def run(self, module: str, *arguments: str) -> str:
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _free_port() -> int:
    """A port below those that outgoing connections take, so that none of them takes it before the server."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port among a hundred")


def _until(found: Callable[[], Any], what: str, wait_s: float = LONGEST_WAIT_S) -> Any:
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.5)
    raise AssertionError(f"no {what} within {wait_s:.0f} s")


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=20)


def _project(folder: Path, **sections: Any) -> None:
    """A project whose data is judged in a second: no training is needed to prove the schedule."""
    lines = ["text,topic,split"]
    for split, count in (("train", 60), ("validation", 30), ("test", 30)):
        for topic, word in (("food", "soup"), ("weather", "rain")):
            lines += [f"{word} for {split} number {n},{topic},{split}" for n in range(count)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    project = {
        "name": NAME,
        "backbone": "offline",
        "heads": {"topic": "multiclass"},
        "sources": {"rows": {"path": "rows.csv", "split_column": "split", "heads": {"topic": "topic"}}},
        **sections,
    }
    (folder / "project.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")


def _shadow(folder: Path) -> Path:
    """A folder with a user's files named like our packages; importing one of them fails."""
    (folder / "model").mkdir(parents=True)
    for file in ("tasks.py", "model/__init__.py"):
        (folder / file).write_text("raise RuntimeError('this is not Headgate')\n", encoding="utf-8")
    return folder


def _started(folder: Path, environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], Server]:
    """A server that answers. One that ends by itself is started once more, on another port."""
    log = folder / "server.log"
    for _ in range(2):
        port = _free_port()
        made = Server(
            f"http://127.0.0.1:{port}/api",
            {**environment, "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"},
            folder,
        )
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*command, "--port", str(port)], env=made.environment, stdout=out, stderr=subprocess.STDOUT
            )
        try:
            end = time.monotonic() + LONGEST_WAIT_S
            while time.monotonic() < end and process.poll() is None:
                if _healthy(made):
                    return process, made
                time.sleep(0.5)
        except BaseException:
            _ended(process)
            raise
        ended = process.poll()
        _ended(process)
        if ended is None:
            break
    said = log.read_text(encoding="utf-8", errors="replace")[-3000:]
    raise AssertionError(
        f"no Prefect server within {LONGEST_WAIT_S:.0f} s; exit code {ended}; it said:\n{said}"
    )


def _healthy(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("scheduled")
    ours = ("PREFECT_", "HEADGATE_", "PYTHONSAFEPATH")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(ours)},
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PYTHONPATH": str(ROOT),
        "HEADGATE_HOME": str(folder / "home"),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }
    (folder / "prefect").mkdir()
    # Every minute, and no retraining by the clock: that is to come by drift.
    _project(folder, schedule={"cron": None, "validate_cron": "* * * * *"})
    elsewhere = _shadow(folder / "elsewhere")
    process, made = _started(folder, environment)
    environment = made.environment
    try:
        worker_log = (folder / "worker.log").open("wb")
        command = [
            sys.executable,
            "-m",
            "prefect",
            "worker",
            "start",
            "--pool",
            "headgate",
            "--type",
            "process",
        ]
        worker = subprocess.Popen(
            command, env=environment, cwd=elsewhere, stdout=worker_log, stderr=subprocess.STDOUT
        )
        try:
            _until(lambda: made.ask("/work_pools/filter"), "work pool, which the worker makes")
            written = made.run("flows.schedule.prefect_file", "project.yaml")
            (folder / "prefect.yaml").write_text(written, encoding="utf-8")
            made.run("prefect", "--no-prompt", "deploy", "--all")
            yield made
        finally:
            _ended(worker)
            worker_log.close()
    finally:
        _ended(process)
        shutil.rmtree(folder / "prefect", ignore_errors=True)


def test_every_flow_is_deployed_one_run_at_a_time(server: Server) -> None:
    deployments = server.ask("/deployments/filter")
    by_entry = {one["entrypoint"]: one for one in deployments}
    assert set(by_entry) == {
        "flows.retrain.retrain",
        "flows.validate.validate",
        "flows.rollback.rollback",
        "flows.judge.judge",
    }
    assert all(one["global_concurrency_limit"]["limit"] == 1 for one in deployments)
    assert by_entry["flows.rollback.rollback"]["schedules"] == []
    assert by_entry["flows.judge.judge"]["schedules"] == []
    for one in deployments:
        [step] = one["pull_steps"]
        assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(server.folder)


def test_the_command_makes_the_same_deployments(server: Server) -> None:
    def lines(*arguments: str) -> list[list[str]]:
        told = server.run("flows.cli.commands", "schedule", "project.yaml", *arguments)
        return [line.split("  ") for line in told.splitlines()]

    def state() -> list[tuple[Any, ...]]:
        return [
            (one["id"], one["updated"], [schedule["id"] for schedule in one["schedules"]])
            for one in server.ask("/deployments/filter")
        ]

    deployed = state()
    names = [f"{flow} {NAME}" for flow in ("retrain", "validate", "rollback", "judge")]
    *told, (word, *_) = lines()
    assert [line[:2] for line in told] == [["as it was", name] for name in names] and word == "next"
    assert state() == deployed, "what `prefect deploy --all` made is not touched"
    assert [line for [line] in lines("--show")] == [
        f"{names[0]}: by hand",
        f"{names[1]}: at * * * * * UTC",
        f"{names[2]}: by hand",
        f"{names[3]}: by hand",
    ]


def test_a_schedule_produces_runs_and_a_worker_executes_one_to_its_end(server: Server) -> None:
    def runs(*states: str) -> Any:
        return server.ask(
            "/flow_runs/filter",
            flows={"name": {"any_": ["validate"]}},
            flow_runs={"state": {"name": {"any_": list(states)}}},
        )

    assert _until(lambda: runs("Scheduled", "Pending", "Running", "Accepted"), "scheduled run")
    accepted = _until(lambda: runs("Accepted", "Rejected", "Failed", "Crashed"), "finished run")
    log = (server.folder / "worker.log").read_text(encoding="utf-8", errors="replace")[-3000:]
    assert accepted[0]["state"]["name"] == "Accepted", log
    assert accepted[0]["auto_scheduled"]
    assert list((server.folder / "home" / "reports").glob("*/quality.html"))
    logged = server.ask("/logs/filter", logs={"flow_run_id": {"any_": [accepted[0]["id"]]}})
    lines = [entry["message"] for entry in logged]
    assert any("✓ merge sources" in line for line in lines), "the steps belong to the run's own log"


def _champion(home: Home, profile: dict[str, Any], folder: Path) -> None:
    """A signed and registered release of a toy model whose card says that it was trained on data with this
    profile."""
    write_bundle(folder, seed=1)
    card = folder / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"data_profile": profile}))
    manifest = ReleaseManifest(
        name=NAME,
        version=1,
        sequence=1,
        bundle_sha256=write_bundle_manifest(folder),
        verdict=PASS,
    )
    private_key, _ = ensure_key_pair(home.keys)
    releases = ReleaseFolder(home.releases(NAME), NAME)
    releases.stage(folder, manifest, private_key)
    releases.promote(1, private_key)
    registry = open_registry(home, NAME, RegistrySpec())
    registry.client.create_registered_model(registry.model)
    registry.client.create_model_version(
        registry.model, str(folder), tags={BUNDLE_TAG: manifest.bundle_sha256}
    )


@pytest.mark.slow
def test_drift_leads_to_a_retraining_of_this_project_and_of_no_other(server: Server) -> None:
    deployments = {one["entrypoint"]: one for one in server.ask("/deployments/filter")}
    validation, retraining = (deployments[f"flows.{flow}.{flow}"] for flow in ("validate", "retrain"))

    def runs_of(deployment: dict[str, Any], *states: str) -> list[dict[str, Any]]:
        wanted = {"state": {"name": {"any_": list(states)}}} if states else {}
        found = server.ask(
            "/flow_runs/filter", deployments={"id": {"any_": [deployment["id"]]}}, flow_runs=wanted
        )
        return [run for run in found if not run["auto_scheduled"]]

    reply = httpx.post(f"{server.url}/deployments/{validation['id']}/pause_deployment", timeout=30)
    reply.raise_for_status()
    # The champion knew nearly nothing but food; today's data is half of it weather. The data gate also
    # rejects today's data, so that the retraining ends before anything is trained.
    home = Home(server.folder / "home")
    [profile] = [json.loads(path.read_text()) for path in home.data.glob("*/profile.json")]
    for figures in profile["heads"]["topic"]["splits"].values():
        figures["counts"] = {"food": figures["labelled"] - 1, "weather": 1}
    _champion(home, profile, server.folder / "toy")
    rules = {"drift_min_rows": 20, "min_rows_per_label": 1000, "rows_per_label": {"severity": "critical"}}
    _project(server.folder, expectations=rules)

    foreign = {"prefect.resource.id": project_resource("another")}
    event = {"event": DRIFT_EVENT, "resource": foreign, "occurred": datetime.now(UTC).isoformat()}
    event |= {"id": str(uuid4()), "payload": {"drifted": ["topic (train)"]}}
    httpx.post(f"{server.url}/events", json=[event], timeout=30).raise_for_status()
    server.ask(f"/deployments/{validation['id']}/create_flow_run")
    ended = ("Accepted", "Rejected", "Deployed", "Failed", "Crashed")
    [validated] = _until(lambda: runs_of(validation, *ended), "validation")
    log = (server.folder / "worker.log").read_text(encoding="utf-8", errors="replace")[-3000:]
    assert validated["state"]["name"] == "Rejected", log
    [retrained] = _until(lambda: runs_of(retraining, *ended), "retraining")
    log = (server.folder / "worker.log").read_text(encoding="utf-8", errors="replace")[-3000:]
    assert retrained["state"]["name"] == "Rejected", log
    assert retrained["created_by"]["type"] == "AUTOMATION"
    assert server.folder / retrained["parameters"]["config"] == server.folder / "project.yaml"
    told = server.ask("/events/filter", filter={"event": {"name": [DRIFT_EVENT]}})["events"]
    by_project = {one["resource"]["prefect.resource.id"]: one["payload"]["drifted"] for one in told}
    assert by_project == {
        project_resource("another"): ["topic (train)"],
        project_resource(NAME): [f"topic ({split})" for split in ("train", "validation", "test")],
    }
    assert len(runs_of(retraining)) == 1

    # Judged again, the same data start nothing more.
    server.ask(f"/deployments/{validation['id']}/create_flow_run")
    _until(lambda: len(runs_of(validation, *ended)) == 2, "second validation")
    again = server.ask("/events/filter", filter={"event": {"name": [DRIFT_EVENT]}})["events"]
    assert len(again) == len(told) and len(runs_of(retraining)) == 1
