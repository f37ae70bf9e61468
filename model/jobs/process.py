"""Runs `python -m model …` in a process of its own and follows its progress.

Each command gets a process: memory is given back, a crash stays there, and the bundle is judged by a process
that knows nothing of the one that made it. Training, answering and packaging may be forks of a process that
has loaded the libraries (`model.jobs.preloaded`); scoring and timing never are. Does not know what the
commands do.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from ..errors import BackboneError, HeadgateError
from ..references import Run
from .memory import SIGKILL_CODES, MemoryWatch
from .preloaded import Forked, current, end_with_parent, model_environment, preloaded

FORKED = ("fit", "teach", "answer", "package", "reference")
"""Commands that may be forks; the others judge what ships."""


_LONGEST_S: ContextVar[float | None] = ContextVar("_LONGEST_S", default=None)
GRACE_S = 10.0
"""Between being asked to end and being ended, in seconds."""


class TookTooLong(HeadgateError):
    """A process took longer than it may, and was ended."""


class _Process(Protocol):
    """What is watched."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""


@contextlib.contextmanager
def at_most(seconds: float | None) -> Iterator[None]:
    """Processes that are started meanwhile, in this thread, may take so long each; None: any time."""
    before = _LONGEST_S.set(seconds)
    try:
        yield
    finally:
        _LONGEST_S.reset(before)


class TimeLimit:
    """Ends a process that takes longer than it may.

    `with TimeLimit(process) as limit: …`, then `limit.refuse(what)`.
    """

    def __init__(self, process: _Process) -> None:
        self._process, self._longest_s = process, _LONGEST_S.get()
        self._done = threading.Event()
        self._late = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._longest_s is not None:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def refuse(self, what: str) -> None:
        """Return if the process was not ended here.

        Raises:
            TookTooLong: it was.
        """
        if self._late:
            raise TookTooLong(f"{what} took longer than {self._longest_s:g} s and was ended")

    def _watch(self) -> None:
        if self._done.wait(self._longest_s) or self._process.poll() is not None:
            return
        self._late = True
        self._process.terminate()
        if not self._done.wait(GRACE_S):
            self._process.kill()


class ModelProcessError(HeadgateError):
    """`python -m model …` ended badly; the message holds the end of its log."""


def run_model(
    arguments: list[str],
    *,
    log: Path,
    on_event: Callable[[Mapping[str, Any]], None] | None = None,
    if_killed: str = "",
) -> dict[str, Any]:
    """Run one command of `model` to its end and return its last event (`{"event": "done", …}`).

    Standard error goes to `log`. JSON lines on standard output are given to `on_event`.

    Args:
        if_killed: advice for whoever reads that the process was killed.

    Raises:
        ModelProcessError: it ended with another code than 0, with the end of its log.
        TookTooLong: it took longer than it may.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    last: dict[str, Any] = {}
    with log.open("a", encoding="utf-8") as errors, tempfile.TemporaryDirectory() as elsewhere:
        process = _started(arguments, errors, elsewhere)  # elsewhere: so that nothing is found by accident
        watch, limit = MemoryWatch(process.pid), TimeLimit(process)
        with process, watch, limit:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    event = _event(line)
                    if event is not None:
                        last = event
                        if on_event is not None:
                            on_event(event)
                code = process.wait()
            finally:
                if process.poll() is None:  # we were interrupted: do not leave a training behind
                    process.terminate()
    limit.refuse(f"`python -m model {arguments[0]}`")
    if code in SIGKILL_CODES:
        raise ModelProcessError(
            f"`python -m model {arguments[0]}` was killed, {watch.said()}. {if_killed or 'Free memory'}, and "
            f"run again (log: {log})"
        )
    if code != 0:
        end = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-12:]
        raise ModelProcessError(
            f"`python -m model {arguments[0]}` ended with code {code}; the end of its log "
            f"(whole log: {log}):\n" + "\n".join(f"    {line}" for line in end)
        )
    return last


@contextlib.contextmanager
def preloaded_for(run: Run) -> Iterator[None]:
    """Meanwhile commands are forks of a process that has loaded what a run's encoder needs."""
    from ..train.backbone import resolve

    encoder = None
    with contextlib.suppress(BackboneError):  # whoever trains it will say so
        encoder = resolve(run.backbone).folder
    with preloaded(run.logs / "models.log", encoder):
        yield


def _started(arguments: list[str], errors: IO[str], folder: str) -> subprocess.Popen[str] | Forked:
    """The command's process: a fork where there is a process to fork from, else a new interpreter."""
    environment = model_environment()
    parent = current() if arguments[0] in FORKED else None
    if parent is not None:
        forked = parent.start(arguments, stderr=errors, cwd=folder, env=environment)
        if forked is not None:
            return forked
    return subprocess.Popen(
        [sys.executable, "-m", "model", *arguments],
        stdout=subprocess.PIPE,
        stderr=errors,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment,
        cwd=folder,
        preexec_fn=end_with_parent,
    )


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    event = json.loads(line)
    return event if isinstance(event, dict) and "event" in event else None
