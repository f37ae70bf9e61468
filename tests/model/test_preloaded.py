"""Commands that are forks of a process that has loaded the libraries end and fail like any others."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from model.jobs.preloaded import Forked, Preloaded, preloaded
from model.jobs.process import ModelProcessError, run_model


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Preloaded]:
    """A process to fork from that has loaded next to nothing, in a second instead of eight."""
    with preloaded(tmp_path / "models.log", modules=("model.measure.cheap_answers",)) as process:
        yield process


def reference(rows: Path, out: Path) -> list[str]:
    return ["reference", str(rows), "topic", "--metric", "accuracy", "--only", "majority", "--out", str(out)]


def test_a_fork_does_what_a_process_does(parent: Preloaded, tiny_rows: Path, tmp_path: Path) -> None:
    events: list[Mapping[str, Any]] = []
    done = run_model(
        reference(tiny_rows, tmp_path / "forked.npz"), log=tmp_path / "log", on_event=events.append
    )
    assert done["rows"] == 60 and events[-1] == done
    parent.close()
    run_model(reference(tiny_rows, tmp_path / "started.npz"), log=tmp_path / "log")  # in a new interpreter
    with np.load(tmp_path / "forked.npz") as forked, np.load(tmp_path / "started.npz") as started:
        assert set(forked) == set(started)
        assert all(np.array_equal(forked[name], started[name]) for name in forked)
    assert (tmp_path / "models.log").read_text() == "" and (tmp_path / "log").read_text() == ""


def test_a_fork_that_fails_says_why(parent: Preloaded, tiny_rows: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelProcessError, match=r"(?s)ended with code 2.*BadInput"):
        run_model(reference(tmp_path / "nowhere", tmp_path / "out.npz"), log=tmp_path / "log")
    assert run_model(reference(tiny_rows, tmp_path / "out.npz"), log=tmp_path / "log")["rows"] == 60


def test_a_fork_that_is_killed_is_told_as_killed(
    parent: Preloaded, tiny_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_FAULT", "scores_written:kill")
    with pytest.raises(ModelProcessError, match=r"`python -m model reference` was killed"):
        run_model(reference(tiny_rows, tmp_path / "out.npz"), log=tmp_path / "log")
    assert not (tmp_path / "out.npz").exists()


def test_who_asks_while_another_thread_reads_the_exit_code_takes_it_from_nobody() -> None:
    """A time limit asks in a thread of its own."""
    reading, asked = threading.Event(), threading.Event()

    class Status(io.StringIO):
        def fileno(self) -> int:
            return code  # something is there to be read

        def readline(self, *_: Any) -> Any:
            first = not reading.is_set()
            reading.set()
            return "0\n" if first and asked.wait(20) else ""

    (output, their_output), (code, their_code) = os.pipe(), os.pipe()
    os.close(their_output)
    os.close(their_code)
    fork = Forked(output, Status(), os.getpid())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fork.wait)
        assert reading.wait(20)
        seen = fork.poll()
        asked.set()
        assert (waiting.result(), seen, fork.poll()) == (0, None, 0)
    fork.stdout.close()  # type: ignore[union-attr]
    os.close(code)


def test_nothing_is_left_when_the_parent_is_killed(parent: Preloaded, tmp_path: Path) -> None:
    """Its forks end with it, whoever waits is told, and later commands have interpreters of their own."""
    # A job is read from a pipe that nobody writes to, and so the command waits.
    os.mkfifo(tmp_path / "job.json")
    arguments = ["time", str(tmp_path / "job.json")]
    with (tmp_path / "log").open("w") as errors:

        def start() -> Forked | None:
            return parent.start(arguments, stderr=errors, cwd=str(tmp_path), env=dict(os.environ))

        forked = start()
        assert forked is not None and forked.poll() is None
        above = psutil.Process(forked.pid).parent()
        assert above is not None and above.parent() == psutil.Process()
        os.kill(above.pid, signal.SIGKILL)
        with forked:
            assert forked.wait() == -signal.SIGTERM
        until = time.monotonic() + 10
        while psutil.pid_exists(forked.pid) and time.monotonic() < until:
            time.sleep(0.01)
        assert not psutil.pid_exists(forked.pid)
        assert start() is None
