"""A group of processes that is kept running: started, started again when they die, ended together.

Each has a session of its own, so that what it leaves behind is found and ended too. What outlives this group
(an endpoint) is looked after, not owned. Does not know what the processes do.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from serving.process.logs import begin_anew

LOOK_S = 0.5
"""How often the group looks after its parts, in seconds."""
YOUNG_S = 30.0
"""A part that dies younger than this waits before it is started again: it would die again."""
WAITS_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Waits before the first, second, … start of a part that died young, in seconds; then the last one."""
END_S = 30.0
"""How long a part may take to end before it is killed, in seconds: a worker ends its runs first."""
RENEWAL_S = 60.0
"""How often the group asks whether parts are to be started anew, in seconds."""
LOG_BYTES = 8 * 1024 * 1024
"""Size at which a log is begun anew; the former one is kept beside it."""
PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when the thread that started it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that is to run."""

    name: str
    """What it is called in logs and to people."""
    command: Sequence[str]
    """What starts it."""
    environment: Mapping[str, str]
    """All variables of its process."""
    log: Path
    """Where it writes."""
    may_start: Callable[[], bool] = field(default=lambda: True)
    """Whether what it needs is there. Asked before each start."""
    ends: bool = False
    """Whether the command ends by itself once it is done, with exit code 0."""
    once: bool = False
    """Whether that is enough for good."""
    wanted: Callable[[], bool] = field(default=lambda: True)
    """For a command that ends: whether it is to be run, now or again."""
    renewed: bool = False
    """Whether it is started anew, with the others of which this is true, when the group is told to."""


@dataclass(slots=True)
class _Running:
    """What the group knows of one part."""

    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    young_deaths: int = 0
    log: int = -1
    done: bool = False


class Group:
    """Keeps parts running until it is asked to end.

    Args:
        parts: in the order in which they are started; ended in the opposite one.
        say: told in one line of every start and every end.
        changed: told name → process id of what runs, and what is to be done once and is not done yet,
            whenever that changes.
        renew: asked why the parts that are `renewed` (name → process id) are to be started anew; empty: not.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        say: Callable[[str], None],
        changed: Callable[[Mapping[str, int], Sequence[str]], None] = lambda running, undone: None,
        renew: Callable[[Mapping[str, int]], str] = lambda running: "",
    ) -> None:
        self._parts = list(parts)
        self._say = say
        self._changed, self._renew = changed, renew
        self._renewal_due = time.monotonic() + RENEWAL_S
        self._known = {part.name: _Running() for part in parts}
        self._sessions: dict[int, str] = {}

    def run(self, stop: threading.Event) -> None:
        """Look after the parts until `stop` is set, then end them all. To be called in the main thread: a
        part ends with the thread that started it."""
        try:
            while not stop.is_set():
                self.look()
                stop.wait(LOOK_S)
        finally:
            self.end()

    def look(self) -> None:
        """Start what should run and does not, and keep logs bounded."""
        for part in self._parts:
            known = self._known[part.name]
            if known.process is not None:
                self._see(part, known)
            waits = known.process is None and not known.done and time.monotonic() >= known.due
            if waits and part.wanted() and part.may_start():
                self._start(part, known)
            with contextlib.suppress(OSError):
                if known.log >= 0:
                    begin_anew(LOG_BYTES, known.log)
        if time.monotonic() >= self._renewal_due:
            self._renewal_due = time.monotonic() + RENEWAL_S
            self._start_anew()

    def end(self) -> None:
        """End every part, the last first, with all that it started."""
        for part in reversed(self._parts):
            self._end_part(part.name)
        for session in list(self._sessions):
            self._end_session(session)
        for known in self._known.values():
            known.process = None
            if known.log >= 0:
                os.close(known.log)
                known.log = -1

    def _end_part(self, name: str) -> None:
        process = self._known[name].process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(END_S)
            self._say(f"{name}: ended")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._say(f"{name}: killed, because it did not end within {END_S:.0f} s")

    def _start_anew(self) -> None:
        """End the parts that are to be started anew, the last first; the next look starts them."""
        parts = [part.name for part in self._parts if part.renewed]
        found = {name: self._known[name].process for name in parts}
        running = {name: process.pid for name, process in found.items() if process is not None}
        why = self._renew(running) if running else ""
        if not why:
            return
        self._say(f"{', '.join(running)}: started anew while nothing runs, because {why}")
        for name in reversed(running):
            self._end_part(name)
            self._known[name].process = None
        for pid in running.values():
            self._end_session(pid)
        self._tell()

    def _see(self, part: Part, known: _Running) -> None:
        assert known.process is not None
        code = known.process.poll()
        if code is None:
            return
        process, known.process = known.process, None
        if part.ends and code == 0:
            known.young_deaths, known.done = 0, part.once
        else:
            wait_s = self._wait_s(known)
            known.due = time.monotonic() + wait_s
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            again = "at once" if wait_s == 0 else f"in {wait_s:g} s"
            self._say(f"{part.name}: {how} (process {process.pid}); started again {again}, log {part.log}")
        self._tell()

    def _wait_s(self, known: _Running) -> float:
        if time.monotonic() - known.started >= YOUNG_S:
            known.young_deaths = 0
            return 0.0
        deaths = known.young_deaths
        known.young_deaths = min(deaths + 1, len(WAITS_S) - 1)
        return WAITS_S[deaths]

    def _start(self, part: Part, known: _Running) -> None:
        if known.log < 0:
            part.log.parent.mkdir(parents=True, exist_ok=True)
            known.log = os.open(part.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        known.started = time.monotonic()
        try:
            known.process = subprocess.Popen(
                part.command,
                env=dict(part.environment),
                stdin=subprocess.DEVNULL,
                stdout=known.log,
                stderr=known.log,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        except OSError as error:
            wait_s = self._wait_s(known)
            known.due = time.monotonic() + wait_s
            self._say(f"{part.name}: can't be started ({error}); tried again in {wait_s:g} s")
            return
        self._sessions[known.process.pid] = part.name
        self._say(f"{part.name}: started (process {known.process.pid})")
        self._tell()

    def _end_session(self, session: int) -> None:
        """End what a part left behind. Its number can't be another's while a process of the session lives."""
        left = _of_session(session)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(number)
            _, left = psutil.wait_procs(left, timeout=END_S / 2)
        del self._sessions[session]

    def _tell(self) -> None:
        running = {
            name: known.process.pid for name, known in self._known.items() if known.process is not None
        }
        for session in list(self._sessions):
            if session not in running.values() and not _of_session(session):
                del self._sessions[session]  # its number may become another's
        self._changed(
            running, [one.name for one in self._parts if one.once and not self._known[one.name].done]
        )


def _of_session(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _end_with_parent() -> None:
    """In the child: end when we end, however that happens."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
