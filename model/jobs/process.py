"""Runs `python -m model …` in a process of its own and follows its progress.

Training, packaging, scoring and timing each get a fresh process: memory is given back, a crash stays
there, and the bundle is judged by a process that knows nothing of the one that made it. Does not know
what the commands do.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import HeadgateError
from .memory import SIGKILL_CODES, MemoryWatch

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""Where the package `model` is found, whether installed or run from a checkout."""


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
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    last: dict[str, Any] = {}
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        part for part in (str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")) if part
    )
    with log.open("a", encoding="utf-8") as errors, tempfile.TemporaryDirectory() as elsewhere:
        process = subprocess.Popen(
            [sys.executable, "-m", "model", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=elsewhere,  # so that nothing is found by accident
            preexec_fn=_end_with_parent,
        )
        watch = MemoryWatch(process.pid)
        with process, watch:
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


PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when the thread that started it ends."""


def _end_with_parent() -> None:
    """In the child: end when we end, however that happens; after a kill -9 nobody else would stop it,
    and a training left behind slows the rerun many times over."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    event = json.loads(line)
    return event if isinstance(event, dict) and "event" in event else None
