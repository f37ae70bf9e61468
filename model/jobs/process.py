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
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from ..errors import BackboneError, HeadgateError
from ..references import Run
from .memory import SIGKILL_CODES, MemoryWatch
from .preloaded import Forked, current, end_with_parent, model_environment, preloaded

FORKED = ("fit", "teach", "answer", "package", "reference")
"""Commands that may be forks; the others judge what ships."""

GRACE_S = 10.0
"""Between being asked to end and being ended, in seconds."""
_LONGEST_S: ContextVar[float | None] = ContextVar("_LONGEST_S", default=None)


class TookTooLong(HeadgateError):
    """A process took longer than it may, and was ended."""


@contextlib.contextmanager
def at_most(seconds: float | None) -> Iterator[None]:
    """Processes that are started meanwhile, in this thread, may take so long each; None: any time."""
    before = _LONGEST_S.set(seconds)
    try:
        yield
    finally:
        _LONGEST_S.reset(before)


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
        longest_s = _LONGEST_S.get()
        with process, MemoryWatch(process.pid) as watch, _ended_after(longest_s, process) as late:
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
                    _end(process)
    if longest_s is not None and late.is_set():
        raise TookTooLong(f"`python -m model {arguments[0]}` took longer than {longest_s:g} s and was ended")
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


@contextlib.contextmanager
def _ended_after(
    longest_s: float | None, process: subprocess.Popen[str] | Forked
) -> Iterator[threading.Event]:
    """Meanwhile a process that takes longer is ended, and the event is set."""
    done, late = threading.Event(), threading.Event()

    def watch() -> None:
        if not done.wait(longest_s) and process.poll() is None:
            late.set()
            _end(process)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield late
    finally:
        done.set()
        thread.join()


def _end(process: subprocess.Popen[str] | Forked) -> None:
    """Ask a process to end; end it where it does not."""
    process.terminate()
    until_s = time.monotonic() + GRACE_S
    while process.poll() is None and time.monotonic() < until_s:
        time.sleep(0.05)
    process.kill()  # nothing, where it has ended


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    event = json.loads(line)
    return event if isinstance(event, dict) and "event" in event else None
