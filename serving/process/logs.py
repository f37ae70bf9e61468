"""Structured logs: one JSON object a line, for machines first. Never a text, a body or a token.

Nothing is configured at import; `configure` is called by the command alone.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from model.bundle.masking import masked

_PLAIN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "color_message"}


class JsonLines(logging.Formatter):
    """A record as one line: `time`, `level`, `event`, what was given as `extra`, and a traceback's frames
    without the values of its exception (they may quote what was being read)."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
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


def configure(stream: TextIO | None = None, level: int = logging.INFO, *, worker: int | None = None) -> None:
    """Send this package's and uvicorn's logs to a stream (standard error by default) as JSON lines, each
    with the number of the worker that writes it, where there are several."""
    handler = logging.StreamHandler(stream or sys.stderr)
    if worker is not None:

        def mark(record: logging.LogRecord) -> bool:
            record.__dict__.setdefault("worker", worker)
            return True

        handler.addFilter(mark)
    handler.setFormatter(JsonLines())
    for name, lowest in (("serving", level), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(lowest)
        logger.propagate = False
