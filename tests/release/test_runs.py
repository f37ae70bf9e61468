"""One retraining of a project at a time, and a registry that is away: real locks, processes and HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from release.home import Home
from release.registry.client import Registry, RegistryAway, RegistryProblem
from release.runs.alone import alone
from release.runs.patience import patiently
from release.spec import RegistrySpec

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from release.home import Home
from release.runs.alone import alone
with alone(Home(Path(sys.argv[1])), "toy", "nightly-7") as busy:
    print(busy or "held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_holds_the_lock_and_a_dead_holder_keeps_nobody_out(tmp_path: Path) -> None:
    home = Home(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with alone(home, "toy") as busy:
            assert f"the run nightly-7, process {holder.pid} on " in busy and ", since 20" in busy
        with alone(home, "another") as busy:
            assert busy == "", "projects of one state folder do not wait for each other"
        holder.send_signal(signal.SIGKILL)
    with alone(home, "toy", "next") as busy:
        assert busy == ""
        assert json.loads((home.locks / "toy.run.json").read_text())["run"] == "next"
    assert not (home.locks / "toy.run.json").exists()


def test_a_holder_that_can_not_be_read_is_still_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with alone(home, "toy"):
        (home.locks / "toy.run.json").write_text("{")
        with alone(home, "toy") as busy:
            assert busy == "another run is at work"


def test_an_error_within_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="mine"), alone(Home(tmp_path), "toy"):
        raise TimeoutError("mine")
    with alone(Home(tmp_path), "toy") as busy:
        assert busy == ""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("release.runs.patience.FIRST_PAUSE_S", 0.01)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def server() -> Callable[[int], tuple[str, list[int]]]:
    """Starts a server that answers with a status for ever; (its address, how often it was asked)."""

    def start(status: int) -> tuple[str, list[int]]:
        asked: list[int] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(status)
                self.send_response(status)
                self.end_headers()

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        made = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=made.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{made.server_port}", asked

    return start


def test_nobody_there_is_away_and_is_waited_for(quick: None) -> None:
    away = Registry("http://127.0.0.1:9", "toy", RegistrySpec())
    asked, said = [], list[str]()

    def work() -> str:
        asked.append(1)
        if len(asked) < 3:
            away.bundle_of(1)
        return "done"

    assert patiently(work, 30, said.append) == "done"
    assert len(asked) == 3 and len(said) == 1, "told once"
    assert "waiting up to 30 s" in said[0] and "127.0.0.1:9" in said[0]
    with pytest.raises(RegistryAway):
        patiently(lambda: away.bundle_of(1), 0, said.append)


@pytest.mark.parametrize(("status", "later"), [(503, True), (404, False)])
def test_a_server_that_refuses_is_not_waited_for(
    quick: None, server: Callable[[int], tuple[str, list[int]]], status: int, later: bool
) -> None:
    address, _ = server(status)
    with pytest.raises(RegistryProblem) as caught:
        Registry(address, "toy", RegistrySpec()).bundle_of(1)
    assert isinstance(caught.value, RegistryAway) == later, caught.value
