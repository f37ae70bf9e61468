"""A supervised group: what dies is started again, ever later; nothing is left when it ends or is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from flows.config.settings import OPTIONS, keep_options
from flows.notify.record import record_file
from flows.up.group import Group, Part
from flows.up.parts import PLACES, SCHEDULE, SELDOM, SERVER, WORKER, ProjectAt, Wanted, parts
from flows.up.run import run_up
from model.files import write_json
from release.home import Home
from serving.process.control import process_start
from serving.waiting import wait_until
from tests.support.told import by_http

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
WITH_CHILD = [
    sys.executable,
    "-c",
    "import subprocess, sys, time; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); time.sleep(600)",
    *SLEEPS,
]


def part(folder: Path, command: list[str] = SLEEPS, **more: object) -> Part:
    arguments = {"name": "one", "environment": dict(os.environ), "log": folder / "one.log", **more}
    return Part(command=command, **arguments)  # type: ignore[arg-type]


def until(found: Callable[[], object], wait_s: float = 20) -> None:
    assert wait_until(lambda: found() or None, timeout_s=wait_s, poll_s=0.05)


def test_what_is_killed_is_started_again_and_nothing_is_left(tmp_path: Path) -> None:
    said, running = list[str](), dict[str, int]()
    group = Group(
        [part(tmp_path, WITH_CHILD)], said.append, lambda now, _: (running.clear(), running.update(now))
    )
    group.look()
    first = running["one"]
    until(lambda: (tmp_path / "one.log").read_text())
    child = int((tmp_path / "one.log").read_text())
    os.kill(first, signal.SIGKILL)
    until(lambda: psutil.Process(first).status() == psutil.STATUS_ZOMBIE)
    group.look()
    assert running == {} and "one: killed by SIGKILL" in said[-1] and "again in 1 s" in said[-1]
    until(lambda: (group.look(), running)[1])
    assert running["one"] != first and psutil.pid_exists(child), "what it started goes on meanwhile"
    second = running["one"]
    group.end()
    assert not psutil.pid_exists(second) and process_start(child) is None


def test_what_dies_at_once_is_started_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.up.group.WAITS_S", (0.05, 0.1, 5.0))
    said = list[str]()
    group = Group([part(tmp_path, [sys.executable, "-c", "raise SystemExit(3)"])], said.append)
    until(lambda: (group.look(), any("in 5 s" in line for line in said))[1])
    waits = [line.split("started again in ")[1].split(" s")[0] for line in said if "again" in line]
    assert waits == ["0.05", "0.1", "5"] and "ended with exit code 3" in said[-1]
    group.end()


def test_a_command_that_cannot_be_started_is_said_and_tried_again(tmp_path: Path) -> None:
    said = list[str]()
    group = Group([part(tmp_path, ["/no/such/program"])], said.append)
    group.look()
    assert "can't be started" in said[0] and "tried again in 1 s" in said[0]
    group.end()


def test_a_command_that_ends_is_run_when_it_is_wanted(tmp_path: Path) -> None:
    runs, wanted = list[str](), [True]
    once = part(tmp_path, [sys.executable, "-c", "pass"], name="once", ends=True, once=True)
    again = part(tmp_path, [sys.executable, "-c", "pass"], name="again", ends=True, wanted=lambda: wanted[0])
    undone = list[list[str]]()
    group = Group([once, again], runs.append, lambda now, left: undone.append(list(left)))
    until(lambda: (group.look(), len([line for line in runs if line.startswith("again")]) >= 3)[1])
    wanted[0] = False
    assert len([line for line in runs if line.startswith("once")]) == 1
    assert undone[0] == ["once"] and undone[-1] == []
    group.end()


def test_it_waits_for_what_a_part_needs(tmp_path: Path) -> None:
    ready, said = [False], list[str]()
    group = Group([part(tmp_path, may_start=lambda: ready[0])], said.append)
    group.look()
    assert said == []
    ready[0] = True
    group.look()
    assert said[0].startswith("one: started")
    group.end()


def test_a_log_is_begun_anew_when_it_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.up.group.LOG_BYTES", 10_000)
    writes = "import time\nwhile True: print('x' * 99, flush=True); time.sleep(0.0005)"
    group = Group([part(tmp_path, [sys.executable, "-c", writes])], lambda line: None)
    until(lambda: (group.look(), (tmp_path / "one.log.1").exists())[1])
    group.look()
    assert (tmp_path / "one.log").stat().st_size < 200_000
    group.end()


def test_nothing_outlives_a_group_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, sys, threading\nfrom pathlib import Path\nfrom flows.up.group import Group, Part\n"
        "one = Part(name='one', command=sys.argv[2:], environment=dict(os.environ), log=Path(sys.argv[1]))\n"
        "Group([one], lambda line: None, lambda now, _: print(now.get('one', 0), flush=True))"
        ".run(threading.Event())\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "one.log"), *SLEEPS]
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as group:
        assert group.stdout is not None
        pid = int(group.stdout.readline())
        assert process_start(pid) is not None
        group.kill()
    until(lambda: process_start(pid) is None)


def test_it_runs_until_it_is_asked_to_end(tmp_path: Path) -> None:
    stop, said = threading.Event(), list[str]()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    Group([part(tmp_path)], said.append).run(stop)
    assert time.monotonic() - began < 10 and said[-1] == "one: ended"


def test_the_group_notices_what_no_run_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    project = ProjectAt(name="kitchen", config=tmp_path / "project.yaml", home=home, tracking_uri=None)
    targets = [{"on": ["not_run"], "url_env": "HOOK"}]
    write_json(record_file(home, "kitchen"), {"targets": targets, "periods": {"retrain": 60.0}, "since": 1e9})
    monkeypatch.setattr("flows.notify.watch.EVERY_S", 0.05)
    nowhere = "http://127.0.0.1:9/api"
    with by_http() as somebody:
        monkeypatch.setenv("HOOK", somebody.url)

        def end() -> None:
            somebody.heard(1)
            os.kill(os.getpid(), signal.SIGTERM)

        ending = threading.Thread(target=end)
        ending.start()
        run_up(Wanted(projects=[project], home=home, given_home=None, server=nowhere, port=4200))
        ending.join()
        assert somebody.titles(1) == ["headgate kitchen: NOT RUN"]


def test_what_is_set_holds_for_the_schedule_and_for_every_run(tmp_path: Path) -> None:
    """The worker's runs have it from the variable; the command that deploys sets its own."""
    keep_options(["schedule.cron=0 4 * * *"])
    project = ProjectAt(name="kitchen", config=tmp_path / "k.yaml", home=Home(tmp_path), tracking_uri=None)
    wanted = Wanted(projects=[project], home=Home(tmp_path), given_home=None, server=None, port=4200)
    found = {part.name: part for part in parts(wanted)}
    assert list(found[SCHEDULE].command)[-2:] == ["--set", "schedule.cron=0 4 * * *"]
    assert found[WORKER].environment[OPTIONS] == '["schedule.cron=0 4 * * *"]'


def test_what_a_user_has_set_for_the_server_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {name: "5" for name in (*PLACES, *SELDOM)}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    wanted = Wanted(projects=[], home=Home(tmp_path), given_home=None, server=None, port=4200)
    [server] = [one for one in parts(wanted) if one.name == SERVER]
    assert server.environment.items() >= own.items()


def test_the_server_of_a_lone_machine_keeps_places_on_disk_and_looks_seldom(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", "from flows.up.quiet_server import look_seldom; print(look_seldom())"],
        capture_output=True,
        text=True,
    )
    assert said.stdout == "True\n", "Prefect does its work otherwise: change or drop flows.up.quiet_server"
    wanted = Wanted(projects=[], home=Home(tmp_path), given_home=None, server=None, port=4200)
    [server] = [one for one in parts(wanted) if one.name == SERVER]
    assert server.environment.items() >= {**PLACES, **SELDOM}.items()
    done = subprocess.run(
        [sys.executable, "-c", "import prefect"], env=dict(server.environment), capture_output=True, text=True
    )
    assert done.returncode == 0, f"a setting that Prefect does not take: {done.stderr}"


def test_the_server_of_a_lone_machine_keeps_little_of_its_database_in_memory() -> None:
    code = """
import sqlite3
from flows.up.quiet_server import keep_little
print(keep_little())
from prefect.server.database.configurations import AioSqliteConfiguration
connection = sqlite3.connect(":memory:")
AioSqliteConfiguration("sqlite+aiosqlite:///:memory:").setup_sqlite(connection, None)
print(connection.execute("PRAGMA cache_size").fetchone()[0])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert said.stdout.split() == ["True", "-2000"], f"change or drop flows.up.quiet_server: {said.stderr}"
