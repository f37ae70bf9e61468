"""What runs for months is started anew when it has grown, while nothing runs and nothing is due."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from flows.up.group import Group, Part
from flows.up.grown import Grown
from flows.up.parts import SERVER, WORKER, Wanted, parts
from release.home import Home
from serving.waiting import wait_until

GROWS = """
import sys
kept = []
for line in sys.stdin:
    kept.append(bytearray(64 << 20))
    print(len(kept), flush=True)
"""


class Server:
    """Answers how many runs there are, as Prefect does."""

    def __init__(self) -> None:
        self.going_on = self.due = 0
        asked = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                runs = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["flow_runs"]
                count = asked.due if "expected_start_time" in runs else asked.going_on
                self.send_response(200)
                self.end_headers()
                self.wfile.write(str(count).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/api"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever)
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.fixture
def growing() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", GROWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def grow(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("more\n")
    process.stdin.flush()
    assert process.stdout.readline()


def test_a_part_that_has_grown_is_named_once_nothing_runs_and_nothing_is_due(
    server: Server, growing: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.up.grown.SETTLED_S", 0.0)
    grown, running = Grown(server.url), {"worker": growing.pid}
    grow(growing)  # by what it loads at first
    assert grown(running) == ""
    grow(growing)
    server.going_on = 1
    assert grown(running) == ""
    server.going_on, server.due = 0, 1
    assert grown(running) == ""
    server.due = 0
    said = grown(running)
    assert said.startswith("worker takes ") and said.endswith(" at first")


def test_a_young_process_and_one_beside_a_silent_server_stay(
    server: Server, growing: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    young = Grown(server.url)
    assert young({"worker": growing.pid}) == "" and not young.first
    monkeypatch.setattr("flows.up.grown.SETTLED_S", 0.0)
    silent = Grown("http://127.0.0.1:9/api")
    silent({"worker": growing.pid})
    grow(growing)
    assert silent({"worker": growing.pid}) == ""
    assert silent({"worker": 2**22 + 1}) == "", "a process that is gone"


def test_the_group_ends_them_all_and_starts_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.up.group.RENEWAL_S", 0.0)
    said, why, now = list[str](), [""], dict[str, int]()
    sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]

    def part(name: str, renewed: bool) -> Part:
        log = tmp_path / f"{name}.log"
        return Part(name=name, command=sleeps, environment=dict(os.environ), log=log, renewed=renewed)

    group = Group(
        [part("server", True), part("page", False), part("worker", True)],
        said.append,
        lambda running, _: (now.clear(), now.update(running))[0],
        lambda running: why[0] if set(running) == {"server", "worker"} else "",
    )
    group.look()
    first = dict(now)
    group.look()
    assert now == first
    why[0] = "worker takes 131 MiB, 104 at first"
    group.look()
    why[0] = ""
    assert now == {"page": first["page"]}
    assert all(not psutil.pid_exists(first[name]) for name in ("server", "worker"))
    assert (
        f"server, worker: started anew while nothing runs, because {'worker takes 131 MiB, 104 at first'}"
        in said
    )
    assert wait_until(lambda: (group.look(), len(now) == 3)[1] or None, timeout_s=10, poll_s=0.05)
    assert now["page"] == first["page"] and now["worker"] != first["worker"]
    group.end()


def test_server_and_worker_are_such_parts(tmp_path: Path) -> None:
    wanted = Wanted(
        projects=[], home=Home(tmp_path), given_home=None, server=None, port=4200, mlflow_port=5000
    )
    assert {one.name for one in parts(wanted) if one.renewed} == {SERVER, WORKER}
