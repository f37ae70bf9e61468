"""A machine on which a project runs alone: Prefect's server, an endpoint, a client that asks it, a clock."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import yaml

from flows.schedule.endings import last_endings
from model.bundle.telemetry import SWITCHES
from release.home import Home, environment
from serving import client
from serving.errors import NoAnswer
from serving.process.control import status

ROOT = Path(__file__).resolve().parents[2]
HEADGATE = [sys.executable, "-m", "flows.cli.commands"]
SET_CLOCK = ROOT / "tests" / "support" / "set_clock"
UP_S = 90.0
"""Longest wait for Prefect's server."""


@dataclass(frozen=True, slots=True)
class Said:
    """How one command ended."""

    flow: str
    end: str
    """Name of the last noted ending."""
    text: str
    """What it printed."""
    seconds: float

    @property
    def tail(self) -> str:
        """The end of what it printed."""
        return " ".join(self.text.split())[-600:]


class Machine:
    """Runs `headgate` for one configuration."""

    def __init__(self, config: Path, place: Path) -> None:
        self.config, self.place = config, place
        self.home = Home(place / ".headgate")
        self.name = str(yaml.safe_load(config.read_text(encoding="utf-8"))["name"])
        self._clock = place / "clock"
        self._server: subprocess.Popen[bytes] | None = None
        self._done = threading.Event()
        self._down = self._full = False
        self._api = ""
        self._asked = self._unanswered = 0
        self._client = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Self:
        """Switch it on."""
        self.home.root.mkdir(exist_ok=True)
        self.clock(0)
        self._start_server()
        self._serve()
        self._client.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Switch it off."""
        self._done.set()
        self._client.join()
        subprocess.run([*HEADGATE, "stop", self.name, "--home", str(self.home.root)], capture_output=True)
        self._stop_server()

    def clock(self, seconds: float) -> None:
        """Set the clock so many seconds ahead of the true time."""
        self._clock.write_text(str(seconds))

    def run(self, flow: str) -> Said:
        """`headgate FLOW CONFIG`, and how it ended."""
        known = len(last_endings(self.home, self.name, 50))
        before = last_endings(self.home, self.name, 1)
        began = time.monotonic()
        done = subprocess.run(self._command(flow), capture_output=True, text=True, env=self._environment())
        after = last_endings(self.home, self.name, 1)
        noted = after and (after != before or len(last_endings(self.home, self.name, 50)) != known)
        end = after[0].end if noted else f"without an ending (exit {done.returncode})"
        return Said(flow, end, done.stdout + done.stderr, time.monotonic() - began)

    def crash_in_training(self) -> None:
        """Start a retraining and end it by `kill -9` when it has begun to train, with all its processes."""
        logs = set(self.home.logs.rglob("*.log"))
        process = subprocess.Popen(
            self._command("retrain"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment(),
        )
        until = time.monotonic() + UP_S
        while time.monotonic() < until and process.poll() is None:
            if any("baseline" in log.name for log in set(self.home.logs.rglob("*.log")) - logs):
                break
            time.sleep(0.05)
        for one in (*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()

    def reboot(self) -> None:
        """End everything by `kill -9`, then start server and endpoint again."""
        self._down = True
        state = self.home.endpoints / f"{self.name}.json"
        if (endpoint := status(state)) is not None:
            _kill(endpoint.pid)
        if self._server is not None:
            _kill(self._server.pid)
            self._server.wait()
        self._start_server()
        self._serve()
        self._down = False

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Within: run folders lie on a disk of one MiB, for the commands alone."""
        self._full = True
        try:
            yield
        finally:
            self._full = False

    def trainings(self) -> int:
        """Trainings that were ever begun."""
        return sum(
            1 for log in self.home.logs.rglob("*.log") if "baseline" in log.name or "shared" in log.name
        )

    def asked(self) -> tuple[int, int]:
        """Questions since the last call, and those that got no answer."""
        found = self._asked, self._unanswered
        self._asked = self._unanswered = 0
        return found

    def memory(self) -> dict[str, int]:
        """Resident bytes of what runs all the time."""
        state = status(self.home.endpoints / f"{self.name}.json")
        pids = {"the endpoint": None if state is None else state.pid}
        pids["Prefect's server"] = None if self._server is None else self._server.pid
        return {part: _rss(pid) for part, pid in pids.items() if pid is not None}

    def home_bytes(self) -> int:
        """Bytes of the state folder."""
        return sum(path.lstat().st_size for path in self.home.root.rglob("*") if path.is_file())

    def _command(self, flow: str) -> list[str]:
        command = [*HEADGATE, flow, str(self.config), "--home", str(self.home.root)]
        if not self._full:
            return command
        script = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
        return ["unshare", "-rm", "sh", "-c", script, str(self.home.runs), *command]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HEADGATE_TEST_CLOCK": str(self._clock),
            "PYTHONPATH": f"{SET_CLOCK}{os.pathsep}{ROOT}",
            "PREFECT_API_URL": self._api,
        }

    def _start_server(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._api = f"http://127.0.0.1:{port}/api"
        self._server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                **SWITCHES,
                **environment(self.home),
                "PREFECT_HOME": str(self.place / "prefect"),
            },
        )
        until = time.monotonic() + UP_S
        while time.monotonic() < until:
            with contextlib.suppress(NoAnswer):
                if client.request(self._api, "GET", "/health", timeout_s=2)[0] == 200:
                    return
            time.sleep(0.2)
        raise RuntimeError(f"Prefect's server did not answer within {UP_S:g} s")

    def _stop_server(self) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            try:
                self._server.wait(30)
            except subprocess.TimeoutExpired:
                _kill(self._server.pid)

    def _serve(self) -> None:
        if (self.home.root / "releases" / self.name).is_dir():
            command = [*HEADGATE, "serve", self.name, "--home", str(self.home.root)]
            subprocess.run(command, capture_output=True, check=True)

    def _ask(self) -> None:
        """Ask the endpoint four times a second, once it has been there."""
        there = False
        while not self._done.wait(0.25):
            state = status(self.home.endpoints / f"{self.name}.json")
            if state is None and not there:
                continue
            there = True
            if self._down:
                continue
            answered = False
            if state is not None:
                with contextlib.suppress(NoAnswer):
                    reply = client.request(state.url, "POST", "/predict", {"texts": ["sun rain wind"]})
                    answered = reply[0] == 200
            if not self._down:
                self._asked += 1
                self._unanswered += not answered


def _kill(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        one = psutil.Process(pid)
        for part in (*one.children(recursive=True), one):
            with contextlib.suppress(psutil.NoSuchProcess):
                part.kill()


def _rss(pid: int) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        one = psutil.Process(pid)
        return sum(part.memory_info().rss for part in (one, *one.children(recursive=True)))
    return 0
