"""Prefect's side of a crash: runs that nobody closes, temporary servers that nobody ends, cached tasks."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect import Task, flow, tags
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Running

import tasks
from flows.notify.ending import told_ending
from flows.notify.record import read, record_file
from flows.outcome import LEFT, Outcome, Stage
from flows.parts.end import run_lost
from flows.prefect_runs import (
    LABEL,
    OWNER_VARIABLE,
    TAG,
    close_flow_runs,
    end_orphan_servers,
    mark_flow_run,
    own_temporary_server,
    process_label,
)
from flows.schedule.endings import last_endings
from model.files import write_json
from release.home import Home
from tests.support.scheduled_project import scheduled_config
from tests.support.told import by_http

MINE = TAG + process_label()
DEAD = MINE.rsplit(":", 1)[0] + ":1"
"""This process's number, but started at another time: a process that is gone."""


@flow(name="open-ended")
def open_ended() -> None:
    """Runs are made of it by hand, as a killed process leaves them."""


@flow(name="marked")
def marked() -> tuple[list[str], object]:
    """Marks its own run; its tags and its label."""
    from prefect.context import FlowRunContext

    mark_flow_run()
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(context.flow_run.id)
    return list(run.tags), run.labels.get(LABEL)


def test_runs_of_dead_processes_are_closed_and_others_are_not(prefect_harness: None) -> None:
    with get_client(sync_client=True) as client:
        runs = {
            tag: client.create_flow_run(open_ended, tags=[tag], state=Running()).id
            for tag in (DEAD, MINE, "headgate-process=another-host:1:1", "nobody's")
        }
        (said,) = close_flow_runs()
        assert "which its process left open" in said
        states = {tag: client.read_flow_run(run).state for tag, run in runs.items()}
    assert {tag: state.type for tag, state in states.items() if state} == {
        DEAD: StateType.CRASHED,
        MINE: StateType.RUNNING,
        "headgate-process=another-host:1:1": StateType.RUNNING,
        "nobody's": StateType.RUNNING,
    }
    assert close_flow_runs() == []


def test_a_run_is_marked_once_whoever_started_it(prefect_harness: None) -> None:
    for _ in range(2):
        assert marked() == ([], process_label())
    with tags("mine"):
        assert marked() == (["mine"], process_label())


@pytest.fixture
def start_server() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts what looks like a temporary Prefect server of a home; ended afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(home: Path, owner: str) -> subprocess.Popen[bytes]:
        given = {"PREFECT__SERVER_EPHEMERAL": "1", "PREFECT_HOME": str(home / "prefect")}
        code = "import time; print('up', flush=True); time.sleep(60)"
        made = subprocess.Popen(
            [sys.executable, "-c", code], env={**given, OWNER_VARIABLE: owner}, stdout=subprocess.PIPE
        )
        assert made.stdout is not None and made.stdout.readline() == b"up\n"
        started.append(made)
        return made

    yield start
    for one in started:
        one.kill()
        one.wait()
        assert one.stdout is not None
        one.stdout.close()


def test_only_servers_that_a_dead_flow_of_this_home_left_are_ended(
    tmp_path: Path, start_server: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OWNER_VARIABLE, "")
    own_temporary_server()
    me, dead = os.environ[OWNER_VARIABLE], f"{os.getpid()}:1"
    home, other = (tmp_path / name for name in ("home", "other"))
    orphan = start_server(home, dead)
    others = [start_server(home, me), start_server(other, dead), start_server(home, "")]
    (said,) = end_orphan_servers(Home(home))
    assert str(orphan.pid) in said
    assert orphan.wait(10) == -15
    time.sleep(0.1)
    assert [one.poll() for one in others] == [None] * 3


def test_a_server_of_a_container_that_shares_the_home_is_left_alone(tmp_path: Path) -> None:
    """The number of its flow is one of the container, where it may well run."""
    apart = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine allows no namespaces")
    given = ["PREFECT__SERVER_EPHEMERAL=1", f"PREFECT_HOME={tmp_path / 'prefect'}", f"{OWNER_VARIABLE}=2:1"]
    code = "import time; print('up', flush=True); time.sleep(60)"
    server = [*apart, "env", *given, sys.executable, "-c", code]
    with subprocess.Popen(server, stdout=subprocess.PIPE) as made:
        assert made.stdout is not None and made.stdout.readline() == b"up\n"
        (inside,) = psutil.Process(made.pid).children()
        try:
            assert end_orphan_servers(Home(tmp_path)) == []
            time.sleep(0.1)
            assert inside.is_running() and inside.status() != psutil.STATUS_ZOMBIE
        finally:
            made.kill()


def test_no_task_is_cached_by_prefect() -> None:
    """Its caches know neither what the code below a task is nor what an endpoint serves now. Deploying is
    never cached, the data are judged anew each time; trainings are cached by content (`model.jobs.fit`)."""
    found: dict[str, Any] = {}
    for module in pkgutil.walk_packages(tasks.__path__, "tasks."):
        if module.name == "nothing":
            continue  # run by MLflow
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Task):
                found[value.name] = value.cache_policy
    assert {"deploy", "promote", "validate", "decide", "register"} <= set(found)
    assert {name for name, policy in found.items() if policy != NO_CACHE} == set()


def test_a_run_that_was_killed_is_noted_and_told(
    prefect_harness: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, config = Home(tmp_path / "home"), scheduled_config(tmp_path)
    given = {"config": str(config), "home": str(home.root)}
    with by_http() as somebody:
        monkeypatch.setenv("HOOK", somebody.url)
        targets = [{"on": ["failed"], "url_env": "HOOK"}]
        write_json(record_file(home, "kitchen"), {"config": str(config), "targets": targets, "since": 1.0})
        with get_client(sync_client=True) as client:
            client.create_flow_run(open_ended, parameters=given, tags=[DEAD], state=Running())
        close_flow_runs(run_lost)
        (message,) = somebody.heard(1)
    assert "open-ended: its process ended before it could close the run" in message["message"]
    assert [(one.flow, one.end) for one in last_endings(home, "kitchen", 5)] == [("open-ended", "Crashed")]


@flow(name="idle")
def idle(home: Path, stage: Stage, reason: str) -> None:
    """A run that ends so."""
    told_ending(Home(home), Outcome(stage=stage, name="kitchen", reasons=(reason,)))


def test_a_run_that_left_the_work_to_another_does_not_count_as_ended(
    prefect_harness: None, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    write_json(record_file(home, "kitchen"), {"targets": [{"on": ["not_run"], "url_env": "HOOK"}]})
    idle(home.root, "busy", "another run is at it")
    idle(home.root, "unchanged", f"{LEFT}a run")
    assert read(home, "kitchen").ended == {}
    idle(home.root, "unchanged", "nothing changed")
    assert list(read(home, "kitchen").ended) == ["idle"]
