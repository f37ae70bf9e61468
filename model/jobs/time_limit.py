"""How long a process of `model` may take: a thread ends one that takes longer, wherever it is waited for.

Does not know who set the limit, nor what the process does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Protocol, Self

from ..errors import HeadgateError

_LONGEST_S: ContextVar[float | None] = ContextVar("_LONGEST_S", default=None)
GRACE_S = 10.0
"""Between being asked to end and being ended, in seconds."""


class TookTooLong(HeadgateError):
    """A process took longer than it may, and was ended."""


class Process(Protocol):
    """What is watched."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""


@contextmanager
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

    def __init__(self, process: Process) -> None:
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
