"""Progress of long work: a bar on a terminal, plain lines elsewhere, the log of the run under a worker.

Does not know what the work is.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from model.bundle.masking import error_without_secret, mask_process
from report.time_left import time_left
from serving.shown import one_line

CONSOLE_VARIABLE = "HEADGATE_CONSOLE"
"""Set to 1 by the command line: steps go to standard error instead of the log. `lines`: without bars, for
processes that share a terminal."""

PLAIN_LINE_EVERY_S = 10.0
"""Seconds between plain lines of one step: often enough to see life, rare enough for a log file."""

WIDE = 130
"""Columns of a terminal from which on a line has room for figures beside the bar."""

_live = threading.Lock()
watchers: list[Callable[[str, int, int | None], None]] = []
"""Told of a step's title and how far it is; Prefect's progress is one (`flows.shown.progress`)."""


LOGGER = "headgate"
"""Logger that steps go to without a terminal; Prefect keeps its lines with the run (`flows.prefect_runs`)."""


def print_line(line: str) -> None:
    """One plain line to whoever watches and to the log of the run, secrets masked. Never give it text from
    the data."""
    if os.environ.get(CONSOLE_VARIABLE) in ("1", "lines"):
        sys.stderr.write(one_line(line) + "\n")
        sys.stderr.flush()
    log_line(line)


def log_line(line: str) -> None:
    """One plain line to the log of the run alone, secrets masked. Never give it text from the data."""
    logging.getLogger(LOGGER).info(one_line(line))


class Step:
    """One long piece of work: `with Step("train shared model", unit="steps") as step: step.to(3, 10)`.

    On a terminal it draws a bar; two steps at once would garble it, so the second one prints lines.
    """

    def __init__(self, title: str, *, unit: str = "") -> None:
        self.title = title
        self.unit = unit
        self.outcome = ""
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        mask_process()  # the workers of a cluster do steps, too, and were prepared by nobody
        self._started_s = self._printed_s = time.monotonic()
        console = Console(stderr=True)
        wanted = os.environ.get(CONSOLE_VARIABLE) == "1" and console.is_terminal
        if wanted and _live.acquire(blocking=False):
            self._narrow = console.width < WIDE
            rest = () if self._narrow else (TimeRemainingColumn(compact=True),)
            self._bar = Progress(
                TextColumn("  {task.description:<28}"),
                BarColumn(bar_width=12 if self._narrow else 32),
                TaskProgressColumn(),
                TextColumn("{task.fields[note]}"),
                *rest,
                console=console,
                transient=True,
            )
            self._bar.start()
            self._row = self._bar.add_task(self.title, total=None, note="")
        elif not wanted:
            left = f"  ({run.words()} of the run)" if (run := time_left()) is not None else ""
            print_line(f"  {self.title} …{left}")
        return self

    def to(self, done: int, total: int | None, note: str = "") -> None:
        """So much is done; `note` is a short figure, such as the loss."""
        now_s, run = time.monotonic(), time_left()
        if run is not None and total:
            run.at(self.title, done / total, now_s - self._started_s)
        for watch in watchers:
            watch(self.title, done, total)
        if self._bar is not None:
            self._bar.update(self._row, completed=done, total=total, note=self._beside(note))
            return
        if now_s - self._printed_s >= PLAIN_LINE_EVERY_S:
            self._printed_s = now_s
            of = f"/{total:,}" if total else ""
            left_s = (now_s - self._started_s) / done * (total - done) if total and done else None
            left = f", about {left_s:.0f} s left" if left_s is not None else ""
            left += "" if run is None else f", {run.words()} of the run"
            print_line(f"  {self.title}: {done:,}{of} {self.unit} {note}{left}".replace(" ,", ","))

    def _beside(self, note: str) -> str:
        """What stands beside the bar: on a narrow terminal the one thing that is waited for."""
        run = time_left()
        if run is None:
            return note
        return f"run: {run.words()}" if self._narrow else f"{note}  run: {run.words()}, step:".strip()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            _live.release()
        seconds = time.monotonic() - self._started_s
        if (run := time_left()) is not None:
            run.at(self.title, 1.0, seconds)
        mark = "✓" if error is None else "✗"
        print_line(
            f"  {mark} {self.title:<28} {self.outcome or ('failed' if error else 'done')}  ({seconds:.1f} s)"
        )
        if error is not None and (safe := error_without_secret(error)) is not error:
            raise safe from error  # whoever runs the step keeps its error
