"""A step that hangs is ended wherever it is waited for: in the main thread, in another one, in a pool."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.baselines import fit_all
from flows.config.load import load_project
from flows.parts.graph import STEP_S, StepTooLong, step
from model.jobs import process
from model.jobs.baselines import BaselineJob
from model.jobs.process import run_model
from tests.support.runs import make_run

LONG_S = 60
"""How long a hanging process would take, in seconds."""
SOON_S = 30
"""By when it must have been ended, in seconds, on a busy machine."""

BEGUN = '{"event": "begun"}'


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Every command of `model` hangs, deaf to a polite word; ids of the processes."""
    started: list[int] = []

    def hang(*_: object) -> subprocess.Popen[str]:
        deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
        code = f"{deaf}; print('{BEGUN}', flush=True); time.sleep({LONG_S})"
        found = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        started.append(found.pid)
        return found

    monkeypatch.setattr(process, "_started", hang)
    monkeypatch.setattr("model.jobs.process.GRACE_S", 0.2)
    yield started
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    before = STEP_S.get()
    yield
    STEP_S.set(before)


def test_a_process_is_ended_in_whatever_thread_it_is_waited_for(
    tmp_path: Path, hanging: list[int], prefect_harness: None
) -> None:
    @task(name="train", cache_policy=NO_CACHE)
    def train() -> None:
        run_model(["fit"], log=tmp_path / "log")

    @flow(name="hangs")
    def hangs() -> None:
        STEP_S.set(0.5)
        step(train)()

    found: list[BaseException] = []

    def work() -> None:
        try:
            hangs()
        except StepTooLong as error:
            found.append(error)

    began_s, thread = time.monotonic(), threading.Thread(target=work)
    thread.start()
    thread.join(LONG_S)
    assert time.monotonic() - began_s < SOON_S
    [error] = found
    assert "step train: took longer than 0.5 s and was ended; raise `runner.step_timeout_s`" in str(error)


def test_a_process_is_ended_when_the_wait_for_it_is_interrupted(tmp_path: Path, hanging: list[int]) -> None:
    """As Prefect's own limit does in the main thread."""

    def interrupt(_: object) -> None:
        raise TimeoutError

    began_s = time.monotonic()
    with pytest.raises(TimeoutError):
        run_model(["fit"], log=tmp_path / "log", on_event=interrupt)
    assert time.monotonic() - began_s < SOON_S and len(hanging) == 1


def test_baselines_side_by_side_are_ended_too(
    tmp_path: Path, two_heads: Callable[..., Path], hanging: list[int], prefect_harness: None
) -> None:
    project: Any = load_project(two_heads(runner={"side_by_side": 2, "step_timeout_s": 0.5}))
    run = make_run(tmp_path, tmp_path, project.heads, backbone=project.backbone, train=project.train)

    @flow(name="both hang")
    def both() -> None:
        fit_all(project, run, [BaselineJob(name=n, rows=tmp_path, fingerprint=n) for n in project.heads])

    began_s = time.monotonic()
    with pytest.raises(StepTooLong, match=r"step fit-baseline: took longer than 0.5 s"):
        both()
    assert time.monotonic() - began_s < SOON_S and len(hanging) == 2
