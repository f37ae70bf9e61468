"""`headgate up` as a process: started, asked what runs, killed in parts, ended."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from release.home import Home
from serving import client
from serving.errors import NoAnswer
from serving.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 600.0
"""Longest wait for something to be there, in seconds."""
RUN_VARIABLE = "PREFECT__FLOW_RUN_ID"
"""Of the process that a worker starts for a run."""
ENGINE = "prefect.engine"
"""Module that it runs."""


def until(found: Callable[[], Any], what: str, wait_s: float = WAIT_S) -> Any:
    """What `found` returns, once that is true.

    Raises:
        AssertionError: it was not within `wait_s` seconds.
    """
    value = wait_until(lambda: found() or None, timeout_s=wait_s, poll_s=1.0)
    assert value, f"no {what} within {wait_s:.0f} s"
    return value


def free_port() -> int:
    """A port below those that outgoing connections take, so that none of them takes it first."""
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port among a hundred")


class Up:
    """A group that runs.

    Args:
        folder: of the configurations, and where it is started.
        configs: their file names.
        more: variables besides this process's.
    """

    def __init__(self, folder: Path, configs: tuple[str, ...], more: Mapping[str, str] | None = None) -> None:
        ours = ("PREFECT_", "HEADGATE_", "PYTHONSAFEPATH")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        self.environment = {**kept, "PYTHONPATH": str(ROOT), **(more or {})}
        self.folder, self.configs, self.home = folder, configs, Home(folder / ".headgate")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        with (self.folder / "up.log").open("ab") as log:
            return subprocess.Popen(
                self.command("up", *self.configs, "--port", str(self.port)),
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def start_again(self) -> None:
        """Start it anew after its end."""
        self.process = self._started()

    def command(self, *arguments: str) -> list[str]:
        """`headgate ARGUMENTS`."""
        return [sys.executable, "-m", "flows.cli.commands", *arguments]

    def on_server(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What `headgate ARGUMENTS` says that talks to the group's server."""
        return self.tell(*arguments, more={"PREFECT_API_URL": self.url})

    def tell(
        self, *arguments: str, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What `headgate ARGUMENTS` says, with these variables besides the group's."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment, **(more or {})},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def check(self) -> subprocess.CompletedProcess[str]:
        """What `headgate up --check` says."""
        return self.tell("up", "--check", *self.configs)

    def parts(self) -> dict[str, int]:
        """Name → process id of what it started and runs."""
        with contextlib.suppress(OSError, ValueError):
            record = json.loads((self.home.locks / "up.json").read_text())
            return {name: pid for name, (pid, _) in record["parts"].items()}
        return {}

    def ask(self, route: str, **body: Any) -> Any:
        """What the server answers; None where it does not."""
        with contextlib.suppress(NoAnswer):
            status, _, reply = client.request(self.url, "POST", route, body, timeout_s=60)
            if status < 300:
                return json.loads(reply)
        return None

    def names(self) -> list[str]:
        """Of the deployments on the server."""
        return sorted(one["name"] for one in self.ask("/deployments/filter") or [])

    def worker_online(self) -> bool:
        """Whether the server knows a worker that is there."""
        workers = self.ask("/work_pools/headgate/workers/filter") or []
        return any(one["status"] == "ONLINE" for one in workers)

    def ready(self) -> bool:
        """Whether all deployments and a worker are there."""
        return len(self.names()) == 4 * len(self.configs) and self.worker_online()

    def runs(self) -> dict[str, psutil.Process]:
        """Id of a run → its process, of those that the worker started and that are alive."""
        found = {}
        for process in psutil.process_iter():
            run, api = _run_of(process)
            if run and api == self.url:
                with contextlib.suppress(psutil.Error):
                    parent = process.parent()
                    if parent is None or _run_of(parent)[0] != run:  # else it is a part of the run
                        found[run] = process
        return found

    def end(self, wait_s: float = 180.0) -> int:
        """SIGTERM; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=wait_s)


def _run_of(process: psutil.Process) -> tuple[str, str]:
    """(Run, server) of a process; empty where it has none, or is no more."""
    with contextlib.suppress(psutil.Error, OSError):
        # What a run leaves to go on, an endpoint, has its variables, too.
        if process.status() != psutil.STATUS_ZOMBIE and ENGINE in process.cmdline():
            given = process.environ()
            return given.get(RUN_VARIABLE, ""), given.get("PREFECT_API_URL", "")
    return "", ""


def kill(process: psutil.Process, *, whole: bool = True) -> None:
    """`kill -9`, with all that it started where `whole`, but for endpoints: those are nobody's children."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in (*(process.children(recursive=True) if whole else ()), process):
            with contextlib.suppress(psutil.NoSuchProcess):
                if one == process or "serving" not in one.cmdline():
                    one.kill()
