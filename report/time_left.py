"""How long a run will still take: what was planned for its steps, scaled by how long past ones took.

Does not know what the steps do, nor how they are shown.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping

SURE_S = 5.0
"""Planned seconds that must be over before the plan is scaled by them."""
LEAST, MOST = 0.1, 20.0
"""Between these the scale stays, whatever the first steps took."""


class TimeLeft:
    """The steps of one run that are not over."""

    def __init__(self, planned_s: Mapping[str, float]) -> None:
        """Title of each step that takes long → seconds that it may take."""
        self._planned_s = dict(planned_s)
        self._done: dict[str, float] = {}
        """Title → share of the step that is done, of steps that have begun."""
        self._took_s: dict[str, float] = {}
        """Title → seconds since it began."""
        self._lock = threading.Lock()

    def at(self, title: str, share: float, took_s: float) -> None:
        """So much of a step is done (1: all), after so many seconds."""
        with self._lock:
            self._done[title] = min(max(share, 0.0), 1.0)
            self._took_s[title] = took_s

    def seconds(self) -> float:
        """What is left."""
        with self._lock:
            over = {title: share * self._planned_s.get(title, 0.0) for title, share in self._done.items()}
            took_s = sum(self._took_s[title] for title in over if title in self._planned_s)
            planned_s = sum(over.values())
            scale = min(max(took_s / planned_s, LEAST), MOST) if planned_s >= SURE_S else 1.0
            return scale * sum(
                (1.0 - self._done.get(title, 0.0)) * seconds for title, seconds in self._planned_s.items()
            )

    def words(self) -> str:
        """`about 4 min left`."""
        seconds = self.seconds()
        if seconds < 90:
            return f"about {max(round(seconds, -1), 10):.0f} s left"
        minutes = seconds / 60
        return f"about {minutes:.0f} min left" if minutes < 90 else f"about {minutes / 60:.1f} h left"


_runs: list[TimeLeft] = []
"""That of this process, where one is known; a list, so that it is changed in place."""


@contextlib.contextmanager
def whole_run(planned_s: Mapping[str, float]) -> Iterator[TimeLeft]:
    """Meanwhile steps say how long the whole run will still take."""
    run = TimeLeft(planned_s)
    _runs.append(run)
    try:
        yield run
    finally:
        _runs.remove(run)


def time_left() -> TimeLeft | None:
    """Of the run that this process does; None where nobody planned it."""
    return _runs[-1] if _runs else None
