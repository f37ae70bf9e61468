"""`headgate up`: everything runs, what is killed comes back, SIGTERM leaves nothing; real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from flows.prefect_runs import LABEL
from release.home import Home
from release.registry.client import BUNDLE_TAG, open_registry
from release.saved_settings import Settings, save_settings, state_file
from release.spec import RegistrySpec
from serving.process import control
from serving.spec import DeploySpec
from serving.store.manifest import ReleaseManifest
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import ensure_key_pair
from tests.support.running_group import Up, kill, until
from tests.support.scheduled_project import scheduled_config
from tests.support.toy_bundle import PASS, write_bundle, write_bundle_manifest

NAME = "kitchen"
IN_A_YEAR = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2099-01-01T00:00:00Z"}}
"""A state in which no worker takes a run."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def release(home: Home) -> None:
    """A toy version that passed, as a retraining leaves it."""
    folder = home.root / "toy"
    write_bundle(folder, seed=1)
    digest = write_bundle_manifest(folder)
    private_key, _ = ensure_key_pair(home.keys)
    releases = ReleaseFolder(home.releases(NAME), NAME)
    manifest = ReleaseManifest(name=NAME, version=1, sequence=1, bundle_sha256=digest, verdict=PASS)
    releases.stage(folder, manifest, private_key)
    releases.promote(1, private_key)
    registry = open_registry(home, NAME, RegistrySpec())
    registry.client.create_registered_model(registry.model)
    registry.client.create_model_version(registry.model, str(folder), tags={BUNDLE_TAG: digest})
    save_settings(home, NAME, Settings(deploy=DeploySpec(port=0, threads=1)))


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Up]:
    scheduled_config(tmp_path, timezone="Europe/Berlin")
    release(Home(tmp_path / ".headgate"))
    made = Up(tmp_path, ("project.yaml",))
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.terminate()
            made.process.wait(timeout=120)
        control.stop(state_file(made.home, NAME), wait_s=5)


def test_everything_runs_comes_back_and_ends(group: Up) -> None:
    said = f"it said:\n{group.folder / 'up.log'}"
    until(lambda: len(group.names()) == 4 and group.worker_online(), f"deployments and worker; {said}")
    assert group.names()[1] == "retrain kitchen"
    endpoint = until(lambda: control.status(state_file(group.home, NAME)), "endpoint")
    assert httpx.get(f"{endpoint.url}/version").json()["version"] == 1
    until(lambda: "schedule" not in group.parts(), "end of the schedule's command")
    checked = group.check()
    assert checked.returncode == 0 and checked.stderr == "", checked.stdout + checked.stderr

    before = group.parts()
    os.kill(before["worker"], signal.SIGKILL)
    os.kill(before["server"], signal.SIGKILL)
    os.kill(endpoint.pid, signal.SIGKILL)
    until(lambda: group.check().returncode == 1, "word of what is missing", 30)
    until(lambda: group.check().returncode == 0 and group.worker_online(), "second start of everything")
    after = group.parts()
    assert after["worker"] != before["worker"] and after["server"] != before["server"]
    assert control.status(state_file(group.home, NAME)) != endpoint
    told = subprocess.run(
        group.command("status", "--json"), cwd=group.folder, env=group.environment, capture_output=True
    )
    [project] = json.loads(told.stdout)["projects"]
    assert [line.split()[-1] for line in project["next"]] in (
        ["validate", "retrain"],
        ["retrain", "validate"],
    )

    running = [psutil.Process(group.process.pid)]
    running += running[0].children(recursive=True)
    group.process.terminate()
    assert group.process.wait(timeout=120) == 0, (group.folder / "up.log").read_text()
    assert not [one for one in running if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert control.status(state_file(group.home, NAME)) is None
    checked = group.check()
    assert checked.returncode == 1 and "up: not running" in checked.stderr


def test_a_place_that_a_run_held_when_the_power_went_is_free_again(group: Up) -> None:
    until(group.ready, "deployments and worker")

    def limit() -> dict[str, Any]:
        [found] = [
            one for one in group.ask("/deployments/filter") or [{}] if one["name"] == "retrain kitchen"
        ]
        return {**found["global_concurrency_limit"], "id": found["id"]}

    run = group.ask(f"/deployments/{limit()['id']}/create_flow_run", state=IN_A_YEAR)
    dead = f"{socket.gethostname()}:{os.getpid()}:1"  # this number, but another start
    labels = {LABEL: dead}
    httpx.patch(f"{group.url}/flow_runs/{run['id']}/labels", json=labels).raise_for_status()
    place = f"/flow_runs/{run['id']}/set_state"
    assert group.ask(place, state={"type": "PENDING"})["status"] == "ACCEPT"
    assert group.ask(place, state={"type": "RUNNING"}, force=True)["status"] == "ACCEPT", "before its time"
    assert limit()["active_slots"] == 1
    assert list((group.home.root / "prefect" / "concurrency_leases").glob("*.json")), "kept on disk"

    kill(psutil.Process(group.process.pid))
    group.process.wait()
    group.start_again()
    until(lambda: group.ready() and "schedule" not in group.parts(), "second start of everything")
    until(lambda: limit()["active_slots"] == 0, "free place", 60)
    [closed] = group.ask("/flow_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    assert closed["state"]["name"] == "Crashed"
    assert "which its process left open" in (group.home.logs / "schedule.log").read_text()
