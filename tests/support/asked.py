"""A client that asks endpoints all the time, and counts what it got no answer to."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from serving import client
from serving.errors import EndpointError, NoAnswer
from serving.process.control import status

PAUSE_S = 0.25


class Asked:
    """Asks each endpoint every quarter of a second, once it has been there.

    Args:
        states: their state files, named by their projects.
    """

    def __init__(self, states: Sequence[Path]) -> None:
        self.count = self.unanswered = 0
        self.longest_s = 0.0
        """Longest that an endpoint was gone after it was killed, in seconds."""
        self.gaps: list[str] = []
        """Questions without an answer that nothing excuses, one line each."""
        self._states, self._excused = states, dict[str, tuple[float, float]]()
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(one,), daemon=True) for one in states]

    def __enter__(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self.end()

    def end(self) -> None:
        """Ask no more."""
        self._done.set()
        for thread in self._threads:
            thread.join()

    def excuse(self, name: str, seconds: float) -> None:
        """Its endpoint is about to be killed: for so long no answer is no fault, until it answers again."""
        self._excused[name] = (time.monotonic(), seconds)

    def _ask(self, state: Path) -> None:
        there, name = False, state.stem
        while not self._done.wait(PAUSE_S):
            said = _answered(state)
            there = there or said == ""
            if not there:
                continue
            killed, patience_s = self._excused.get(name, (0.0, 0.0))
            gone_s = time.monotonic() - killed
            if said and gone_s <= patience_s:
                self.longest_s = max(self.longest_s, gone_s)
                continue
            if not said and gone_s > 2 and name in self._excused:
                del self._excused[name]  # it is back
            self.count += 1
            if said:
                self.unanswered += 1
                self.gaps.append(f"{time.strftime('%T')} {name}: {said}")


def _answered(state: Path) -> str:
    """Empty, or why there was no answer."""
    with contextlib.suppress(EndpointError, OSError):
        try:
            found = status(state)
            if found is None:
                return "no endpoint"
            reply = client.request(found.url, "POST", "/predict", {"texts": ["sun rain wind"]})
            return "" if reply[0] == 200 else f"status {reply[0]}"
        except NoAnswer as error:
            return str(error)
    return "its state can't be read"
