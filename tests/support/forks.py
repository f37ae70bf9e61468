"""Work in forked processes that a fault may end, and an observer that keeps asking an endpoint meanwhile.

Forked, because importing MLflow or torch takes seconds: who forks must not have opened a store before.
Does not know what the work is.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.cli.interrupts import interrupted
from model.faults import VARIABLE
from serving.client import NoAnswer, ask
from serving.process import control as process

PAUSE_S = 0.03
"""Between two questions of the observer."""


def in_a_child(work: Callable[[], object], *, log: Path, fault: str = "") -> int:
    """Run `work` in a process of its own, as the command line runs a flow; its exit code (negative: signal).

    SIGTERM ends it as an exception, as `flows.cli.interrupts` has it; what it prints is added to `log`.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with log.open("a") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            signal.signal(signal.SIGTERM, interrupted)
            os.environ[VARIABLE] = fault
            work()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            with log.open("a") as file:
                traceback.print_exc(file=file)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def at_once(works: list[Callable[[], object]], *, log: Path) -> list[int]:
    """Run all of `works` at once, each in a process of its own that waits until all have started; their exit
    codes."""
    read, write = os.pipe()
    pids = []
    for work in works:
        pid = os.fork()
        if pid == 0:
            os.close(write)
            os.read(read, 1)  # returns when the last writer closed: that is the start
            os._exit(in_a_child(work, log=log) & 0xFF)
        pids.append(pid)
    os.close(read)
    time.sleep(0.1)
    os.close(write)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


@dataclass
class Seen:
    """What an endpoint answered while it was watched."""

    answers: int = 0
    """Replies in all."""
    kinds: list[dict[str, Any]] = field(default_factory=list)
    """Each different reply once: `version` and `answer`."""


@contextlib.contextmanager
def watched(state_file: Path, text: str) -> Iterator[Seen]:
    """Ask the endpoint of `state_file` about `text` all the time, whether it is there or not."""
    seen = Seen()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "seen.json"
        pid = os.fork()
        if pid == 0:
            try:
                _watch(state_file, text, report)
            finally:
                os._exit(0)
        try:
            yield seen
        finally:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
            raw = json.loads(report.read_text()) if report.is_file() else {"answers": 0, "kinds": []}
            seen.answers, seen.kinds = raw["answers"], raw["kinds"]


def _watch(state_file: Path, text: str, report: Path) -> None:
    going = True

    def stop(number: int, frame: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    answers, kinds = 0, {}
    while going:
        try:
            running = process.status(state_file)
            reply = ask(running.url, [text], everything=True) if running is not None else None
        except (NoAnswer, OSError, process.EndpointError):
            reply = None  # it is starting, stopping, or not there: silence is no wrong answer
        if reply is not None:
            answers += 1
            kind = {"version": reply["version"], "answer": reply["answers"][0]}
            kinds[json.dumps(kind, sort_keys=True)] = kind
        time.sleep(PAUSE_S)
    report.write_text(json.dumps({"answers": answers, "kinds": list(kinds.values())}))
