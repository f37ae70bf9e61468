"""Starts a process that times one bundle (`model.measure.timing_worker`), and gives it orders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import ModelError

REPLY_TIMEOUT_S = 120.0
"""Longest wait for a process's reply. A block takes seconds; a process that hangs must not hang the run."""


class TimingError(ModelError):
    """A timed process ended or hung; nothing was written."""


class TimedProcess:
    """One process with one bundle: it starts when it is made; as a context, it has loaded the bundle on entry
    and is ended on exit.

    Raises:
        TimingError: the process ended, or did not reply in `REPLY_TIMEOUT_S`.
    """

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        """Starts the process, with so many CPU threads; it loads the bundle in `folder`."""
        self.name = name
        root = str(Path(__file__).resolve().parents[2])
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part),
            "TOKENIZERS_PARALLELISM": "false",  # its threads would come on top of those declared
            "OMP_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "model.measure.timing_worker", str(folder), "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.loaded: dict[str, Any] = {}
        """What the process reported when it had loaded its bundle."""

    def __enter__(self) -> TimedProcess:
        """Wait until the bundle is loaded."""
        try:
            self.wait_until_loaded()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_until_loaded(self) -> None:
        """Wait until the bundle is loaded; at once where it is."""
        self.loaded = self.loaded or self._receive()

    def __exit__(self, *_: object) -> None:
        """End the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):  # it ended before it read its last order
                if pipe is not None:
                    pipe.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Give one order and wait for the reply."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise TimingError(self._ended()) from None
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        watch = threading.Timer(REPLY_TIMEOUT_S, self.process.kill)
        watch.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise TimingError(self._ended())
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _ended(self) -> str:
        code = self.process.wait(timeout=30)
        return (
            f"the process that times bundle {self.name!r} ended with code {code}, expected a reply within "
            f"{REPLY_TIMEOUT_S:.0f} s; its message stands before this one on standard error"
        )
