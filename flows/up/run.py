"""`headgate up` as a process: one group a state folder, until SIGTERM or Ctrl-C; and what of it runs now."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

import psutil

from flows.notify.watch import watching
from flows.up.group import END_S, Group
from flows.up.grown import Grown
from flows.up.parts import (
    LOOPBACK,
    SERVER,
    WORKER,
    Wanted,
    endpoint_runs,
    parts,
    released,
    server_answers,
)
from model.errors import HeadgateError
from model.files import RecordDamaged, locked, read_record, write_json
from release.home import Home
from release.saved_settings import state_file
from serving.errors import EndpointError
from serving.process import control
from serving.processes import process_start

RECORD = "up.json"
"""In the folder of locks: what a running group consists of."""
KEPT_RUNNING = (SERVER, WORKER, "mlflow")
"""Parts that are processes all the time."""


class UpRefused(HeadgateError):
    """The group can't be started; the message says why."""

    kind = "usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a group runs, for who asks."""

    pid: int
    """Process of the group."""
    start_ticks: int
    """Its start, by which it differs from a later one with its number."""
    parts: dict[str, list[int]] = field(default_factory=dict)
    """Name → process id and start, of what runs now."""
    wanted: list[str] = field(default_factory=list)
    """Names of the processes that should run all the time."""
    api: str = ""
    """Address of the Prefect server."""
    undone: list[str] = field(default_factory=list)
    """Names of what was to be done at the start and is not done yet."""

    @property
    def alive(self) -> bool:
        """Whether the group runs."""
        return process_start(self.pid) == self.start_ticks


def run_up(wanted: Wanted) -> None:
    """Run the group in the foreground until SIGTERM or SIGINT; its endpoints are stopped last.

    Raises:
        UpRefused: another group runs in this state folder, or a port is taken.
    """
    lock = wanted.home.locks / "up.lock"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, timeout_s=0))
        except TimeoutError:
            raise UpRefused(_who(wanted.home)) from None
        _end_left_behind(wanted.home)
        _refuse_taken_ports(wanted)
        stop = threading.Event()
        stack.enter_context(_stopped_by_signals(stop))
        everything = parts(wanted)
        names = [part.name for part in everything if part.name in KEPT_RUNNING]

        def note(running: Mapping[str, int], undone: Sequence[str] = ()) -> None:
            found = {name: [pid, process_start(pid) or 0] for name, pid in running.items()}
            me = os.getpid()
            record = Record(
                pid=me,
                start_ticks=process_start(me) or 0,
                parts=found,
                wanted=names,
                api=wanted.api,
                undone=list(undone),
            )
            with contextlib.suppress(OSError):  # a full disk must not end the group
                write_json(wanted.home.locks / RECORD, asdict(record))

        note({}, [part.name for part in everything if part.once])
        for project in wanted.projects:
            stack.enter_context(watching(project.home, project.name))
        Group(everything, _say, note, Grown(wanted.api)).run(stop)
        for project in wanted.projects:
            try:
                if control.stop(state_file(project.home, project.name)):
                    _say(f"endpoint of {project.name}: stopped")
            except EndpointError as error:
                _say(f"endpoint of {project.name}: {error}")
        (wanted.home.locks / RECORD).unlink(missing_ok=True)


def not_running(wanted: Wanted) -> tuple[list[str], list[str]]:
    """(What runs, what does not), one line each: what `headgate up --check` prints."""
    record = _record(wanted.home)
    if record is None or not record.alive:
        return [], ["up: not running; start it with: headgate up CONFIG"]
    good, bad = [f"up: process {record.pid}"], []
    for name in record.wanted:
        pid, start = (record.parts.get(name) or [0, 0])[:2]
        if pid and process_start(pid) == start:
            good.append(f"{name}: process {pid}")
        else:
            bad.append(f"{name}: not running; being started again, see the logs in {wanted.home.logs}")
    bad += [f"{name}: not done yet, see {wanted.home.logs / name}.log" for name in record.undone]
    api = record.api or wanted.api
    if server_answers(api):
        good.append(f"Prefect server: answers at {api}")
    else:
        bad.append(f"Prefect server: no answer at {api}")
    for project in wanted.projects:
        if not released(project):
            good.append(f"endpoint of {project.name}: nothing to serve yet")
        elif endpoint_runs(project):
            good.append(f"endpoint of {project.name}: running")
        else:
            bad.append(f"endpoint of {project.name}: not running")
    return good, bad


def _record(home: Home) -> Record | None:
    try:
        return read_record(home.locks / RECORD, Record)
    except RecordDamaged:
        return None


def _who(home: Home) -> str:
    record = _record(home)
    who = f"process {record.pid}" if record is not None and record.alive else "another process"
    return f"up: {who} runs the group of {home.root} already; `headgate up --check` says what runs"


def _end_left_behind(home: Home) -> None:
    """End what a group left that was killed, where the system did not."""
    record = _record(home)
    if record is None or record.alive:
        return
    left = []
    for pid, start, *_ in record.parts.values():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if process_start(pid) == start:
                process.terminate()
                left.append(process)
    _, left = psutil.wait_procs(left, timeout=END_S)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _refuse_taken_ports(wanted: Wanted) -> None:
    ports = {"--port": None if wanted.server else wanted.port, "--mlflow-port": wanted.mlflow_port}
    for option, port in ports.items():
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                raise UpRefused(
                    f"up: {LOOPBACK}:{port} can't be listened on ({error.strerror}); stop what listens "
                    f"there, or give another {option}"
                ) from error


@contextlib.contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _say(line: str) -> None:
    sys.stdout.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}\n")
    sys.stdout.flush()
