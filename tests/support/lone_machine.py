"""A machine on which a project runs alone: `headgate up`, a registry, a client that asks, a clock."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import psutil
import yaml

from flows.schedule.endings import last_endings
from flows.up.group import RENEWAL_S
from model.bundle.telemetry import SWITCHES
from serving import client
from serving.errors import NoAnswer
from serving.process.control import status, stop
from tests.support.asked import Asked
from tests.support.contract import CannotMeasure
from tests.support.run_record import text_of
from tests.support.running_group import ROOT, Up, free_port, kill, until

SET_CLOCK = ROOT / "tests" / "support" / "set_clock"
PATIENCE_S = 900.0
"""Longest wait for a run to end."""
AWAY_S = 20.0
"""How long the registry is away, in seconds."""
SETTLE_S = 20.0
"""How long after the last run a machine is idle, in seconds."""
NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""A registry needs no second process that runs jobs."""
REST_S = 45.0
"""What parts need to be started anew, in seconds."""
OFTEN = "PREFECT_WORKER_QUERY_SECONDS"
"""How often the worker asks the server for runs."""
DONE = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Said:
    """How one run ended."""

    flow: str
    end: str
    """Name of its final state, as it is noted in the state folder."""
    text: str
    """What it printed and logged."""
    seconds: float

    @property
    def tail(self) -> str:
        """The end of what it printed."""
        return " ".join(self.text.split())[-600:]


class Machine:
    """Runs one project. Runs are started on the Prefect server, and executed by the worker.

    Args:
        name: of the project; its configuration is `NAME.yaml`.
        place: folder of the configuration.
        registry: port of an MLflow server that keeps the registry, as configured.
    """

    def __init__(self, name: str, place: Path, registry: int) -> None:
        self.name, self.place, self._port = name, place, registry
        self._clock = place / "clock"
        self.clock(0)
        self._registry = self._start_registry()
        given = {
            "HEADGATE_TEST_CLOCK": str(self._clock),
            "PYTHONPATH": f"{SET_CLOCK}:{ROOT}",
            OFTEN: "2",  # a year is played in an hour
        }
        self.group = Up(place, (f"{name}.yaml",), given)
        self.home = self.group.home
        self._state = self.home.endpoints / f"{name}.json"
        self._client = Asked([self._state])
        self._asked = self._unanswered = 0

    def __enter__(self) -> Self:
        """Switch it on."""
        until(self.group.ready, "deployments and worker")
        self._client.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Switch it off."""
        self._client.__exit__(kind, error, trace)
        self.group.end()
        stop(self._state, wait_s=5)
        kill(psutil.Process(self._registry.pid))
        self._registry.wait()

    def clock(self, seconds: float) -> None:
        """Set the clock so many seconds ahead of the true time."""
        new = self._clock.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._clock)

    def start(self, flow: str) -> str:
        """Begin a run; its id."""
        # Server and worker may just be started anew (`flows.up.grown`).
        found = until(lambda: self._deployment(f"{flow} {self.name}"), f"deployment of {flow}")
        route, key = f"/deployments/{found['id']}/create_flow_run", uuid4().hex  # the same run, asked twice
        return str(until(lambda: self.group.ask(route, idempotency_key=key), "answer of the server")["id"])

    def run(self, flow: str, meanwhile: Callable[[], None] = lambda: None) -> Said:
        """A run from its start to its end."""
        run = self.start(flow)
        meanwhile()
        return self.ended(run, flow)

    def by_drift(self) -> Said:
        """The retraining that drift has started, to its end."""
        found = until(lambda: self._begun_by_drift(), "retraining that drift starts")
        return self.ended(found["id"], "retrain")

    def ended(self, run: str, flow: str) -> Said:
        """How a run ended, once it has."""
        raw = until(lambda: self._done(run), f"end of {flow}", PATIENCE_S)
        noted = last_endings(self.home, self.name, 1)
        end = raw["state"]["name"]
        if not noted or noted[0].end != end:
            end = f"{end}, noted {noted[0].end if noted else 'nothing'}"
        text = f"{text_of(self.group, run)}\n{raw['state']['message']}"
        return Said(flow, end, text, float(raw["total_run_time"]))

    def on_full_disk(self, flow: str) -> Said:
        """`headgate FLOW` by hand, whose run folders lie on a disk of 64 KiB: first files fit, answers to
        the test rows don't."""
        script = 'mount -t tmpfs -o size=64k none "$0" && exec "$@"'
        command = self.group.command(flow, f"{self.name}.yaml")
        began = time.monotonic()
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", script, str(self.home.runs), *command],
            cwd=self.place,
            capture_output=True,
            text=True,
            env={**self.group.environment, "PREFECT_API_URL": self.group.url},
        )
        [noted] = last_endings(self.home, self.name, 1)
        return Said(flow, noted.end, done.stdout + done.stderr, time.monotonic() - began)

    def crash_in_training(self) -> None:
        """Begin a retraining; when it has begun to train, everything ends by `kill -9` and starts again, as
        after the power went."""
        self.start("retrain")
        self._wait_for_training()
        self._client.excuse(self.name, PATIENCE_S)
        endpoint, runs = status(self._state), self.group.runs()
        group = psutil.Process(self.group.process.pid)
        for one in (group, *runs.values(), *([] if endpoint is None else _workers(endpoint.pid))):
            kill(one)
        self.group.process.wait()
        self.group.start_again()
        until(lambda: self.group.ready() and self.group.check().returncode == 0, "everything, again")

    @contextlib.contextmanager
    def registry_away(self) -> Iterator[Callable[[], None]]:
        """What is called once a run has begun: while it trains the registry ends, and comes back later."""

        def leave() -> None:
            self._wait_for_training()
            kill(psutil.Process(self._registry.pid))
            self._registry.wait()
            timer.start()

        timer = threading.Timer(AWAY_S, self._restart_registry)
        try:
            yield leave
        finally:
            if timer.is_alive():
                timer.join()

    def trainings(self) -> set[Path]:
        """Logs of the trainings that are kept."""
        return set(self.home.logs.glob("*/fit-*.log"))

    def asked(self) -> tuple[int, list[str]]:
        """Questions since the last call, and those that got no answer."""
        before, self._asked = self._asked, self._client.count
        gone, self._unanswered = self._unanswered, self._client.unanswered
        return self._asked - before, self._client.gaps[gone:]

    def memory(self) -> dict[str, int]:
        """Resident bytes of what runs all the time."""
        until(lambda: not self.group.runs(), "end of the last run's process")
        until(self.group.ready, "deployments and worker")
        endpoint, parts = status(self._state), self.group.parts()
        pids = {
            "the endpoint": None if endpoint is None else endpoint.pid,
            "Prefect's server": parts.get("server"),
            "the worker": parts.get("worker"),
            "`headgate up`": self.group.process.pid,
        }
        return {part: _rss(pid) for part, pid in pids.items() if pid is not None}

    def rest(self) -> None:
        """Wait, with no run, until `headgate up` has looked what has grown, and all parts run again. A real
        year is quiet nearly always; a played one never is by itself."""
        until(lambda: not self.group.runs(), "end of the last run's process")
        time.sleep(RENEWAL_S + REST_S)
        until(lambda: self.group.ready() and self.group.check().returncode == 0, "everything, again")

    def idle_share(self, seconds: float) -> dict[str, float]:
        """Share of one core that each part takes within so many seconds in which nothing runs and nobody asks
        the endpoint; to be called last. The group is started again first: here its worker asks for runs every
        two seconds."""
        self._client.end()
        self.group.end()
        del self.group.environment[OFTEN]
        self.group.start_again()
        until(lambda: self.group.ready() and self.group.check().returncode == 0, "everything, again")
        for _ in range(5):
            until(lambda: not self.group.runs() and "schedule" not in self.group.parts(), "quiet")
            time.sleep(SETTLE_S)
            endpoint = status(self._state)
            pids = {"`headgate up`": self.group.process.pid, **self.group.parts()}
            pids |= {} if endpoint is None else {"the endpoint": endpoint.pid}
            before = {part: _cpu_s(pid) for part, pid in pids.items()}
            quiet = not self.group.runs()
            time.sleep(seconds)
            after = {part: _cpu_s(pid) for part, pid in pids.items()}
            if quiet and not self.group.runs():
                return {part: (after[part] - before[part]) / seconds for part in pids}
        raise CannotMeasure("runs went on all the time; nothing was idle")

    def bytes_kept(self) -> int:
        """Bytes of the state folder and of the registry."""
        folders = (self.home.root, self.place / "registry")
        return sum(one.lstat().st_size for folder in folders for one in folder.rglob("*") if one.is_file())

    def _deployment(self, name: str) -> dict[str, Any] | None:
        known = self.group.ask("/deployments/filter") or []
        return next((one for one in known if one["name"] == name), None)

    def _done(self, run: str) -> dict[str, Any] | None:
        [raw] = self.group.ask("/flow_runs/filter", flow_runs={"id": {"any_": [run]}}) or [None]
        return raw if raw is not None and raw["state_type"] in DONE else None

    def _begun_by_drift(self) -> dict[str, Any] | None:
        newest = self.group.ask("/flow_runs/filter", sort="EXPECTED_START_TIME_DESC", limit=5) or []
        return next((one for one in newest if (one["created_by"] or {}).get("type") == "AUTOMATION"), None)

    def _wait_for_training(self) -> None:
        logs = self.trainings()
        until(lambda: self.trainings() - logs, "training", PATIENCE_S)

    def _start_registry(self) -> subprocess.Popen[bytes]:
        address = f"http://127.0.0.1:{self._port}"
        store = self.place / "registry"
        store.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{store}/store.db"]
        command += ["--artifacts-destination", str(store / "artifacts")]
        beside = str(Path(sys.executable).parent)  # MLflow calls uvicorn by its name
        given = {**os.environ, **SWITCHES, **NO_JOBS, "PATH": f"{beside}:{os.environ['PATH']}"}
        with (self.place / "registry.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=given)

        def answers() -> bool:
            with contextlib.suppress(NoAnswer):
                return client.request(address, "GET", "/health", timeout_s=5)[0] == 200
            return False

        until(answers, "registry")
        return process

    def _restart_registry(self) -> None:
        self._registry = self._start_registry()


def registry_port(config: Path) -> int:
    """Have the registry of a configuration be an MLflow server on this machine; its port."""
    port = free_port()
    raw = yaml.safe_load(config.read_text(encoding="utf-8"))
    raw["registry"] = {"tracking_uri": f"http://127.0.0.1:{port}"}
    config.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return port


def _workers(pid: int) -> list[psutil.Process]:
    """An endpoint's processes."""
    one = psutil.Process(pid)
    return [one, *one.children(recursive=True)]


def _rss(pid: int) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        one = psutil.Process(pid)
        return sum(int(part.memory_info().rss) for part in (one, *_children(one)))
    return 0


def _cpu_s(pid: int) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        one = psutil.Process(pid)
        return sum(part.cpu_times().user + part.cpu_times().system for part in (one, *_children(one)))
    return 0.0


def _children(one: psutil.Process) -> list[psutil.Process]:
    """Processes of a part; a group's parts have sessions of their own."""
    return [] if "up" in one.cmdline() else one.children(recursive=True)
