"""Structured logs: one JSON object a line, for machines first. Never a text, a body or a token.

They do not grow for ever: of what requests can cause, only so many lines a minute are kept, and a file is
begun anew when it is large. Nothing is configured at import; `configure` is called by the command alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import stat
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from model.bundle.masking import masked
from model.files import replacing

OF_REQUESTS = ("serving.requests", "uvicorn.error", "asyncio")
"""Loggers whose lines anybody can cause who reaches the port."""
LINES, WINDOW_S = 10, 60.0
"""Most lines of one event of theirs, in so many seconds."""
MOST_EVENTS = 1000
"""Most kinds of events that are counted."""
LOOK_S = 1.0
"""How often the size of the log is looked at, in seconds."""

_PLAIN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "color_message"}


class JsonLines(logging.Formatter):
    """A record as one line: `time`, `level`, `event`, what was given as `extra`, and a traceback's frames
    without the values of its exception (they may quote what was being read)."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            # What asyncio writes below its first line may hold what was sent.
            "event": record.getMessage().partition("\n")[0],
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _PLAIN}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            frames, at = [], record.exc_info[2]
            while at is not None:
                code = at.tb_frame.f_code
                frames.append(f"{code.co_filename}:{at.tb_lineno} {code.co_name}")
                at = at.tb_next
            line["frames"] = frames
        return masked(json.dumps(line, ensure_ascii=False, default=str))


class Sparing(logging.Filter):
    """Lets `LINES` lines of one event pass in `WINDOW_S` seconds; the first one after that says as `left_out`
    how many did not."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        event = record.name, str(record.msg).partition("\n")[0][:100]
        if event not in self._seen and len(self._seen) >= MOST_EVENTS:
            self._seen.clear()
        since, lines = self._seen.get(event, (0.0, 0))
        if record.created - since < WINDOW_S:
            self._seen[event] = since, lines + 1
            return lines < LINES
        if lines > LINES:
            record.__dict__["left_out"] = lines - LINES
        self._seen[event] = record.created, 1
        return True


def configure(stream: TextIO | None = None, level: int = logging.INFO, *, worker: int | None = None) -> None:
    """Send the logs of this package, uvicorn and asyncio to a stream (standard error by default) as JSON
    lines, each with the number of the worker that writes it, where there are several."""
    handler = logging.StreamHandler(stream or sys.stderr)
    if worker is not None:

        def mark(record: logging.LogRecord) -> bool:
            record.__dict__.setdefault("worker", worker)
            return True

        handler.addFilter(mark)
    handler.setFormatter(JsonLines())
    for name in OF_REQUESTS:
        logging.getLogger(name).filters[:] = [Sparing()]
    lowest_levels = {"serving": level, "uvicorn.error": logging.WARNING, "asyncio": logging.WARNING}
    for name, lowest in lowest_levels.items():
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(lowest)
        logger.propagate = False


def keep_bounded(max_bytes: int, descriptor: int = 2) -> None:
    """Begin the log anew whenever it is larger than `max_bytes`, in a thread that ends with the process.
    Nothing is done where the descriptor (standard error by default) is not a file that is appended to."""
    appended_to = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
    if not appended_to or not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return

    def run() -> None:
        while True:
            time.sleep(LOOK_S)
            with contextlib.suppress(OSError):
                begin_anew(max_bytes, descriptor)

    threading.Thread(target=run, name="log-keeper", daemon=True).start()


def begin_anew(max_bytes: int, descriptor: int) -> None:
    """Copy a file that is larger than `max_bytes` to the name with `.1` at its end, and empty it. All
    processes that append to it go on; what they write between the two steps is lost.

    Raises:
        OSError: it can't be emptied.
    """
    if os.fstat(descriptor).st_size <= max_bytes:
        return
    itself = Path(f"/proc/self/fd/{descriptor}")
    path = itself.readlink()
    # Where there is no room for a copy the bound holds all the same.
    former = path.with_name(f"{path.name}.1")
    with contextlib.suppress(OSError), itself.open("rb") as file, replacing(former) as copy:
        shutil.copyfileobj(file, copy)
    os.ftruncate(descriptor, 0)
