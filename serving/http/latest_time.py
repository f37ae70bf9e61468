"""The wall clock, as far as it only goes forward: what ends at a time must not last longer because a clock
was set back.

In a process the monotonic clock holds it up, over restarts a small file does. A clock that was ahead for a
while may end something early; removing the file puts that right. Does not know what ends.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from model.bundle.plain_files import read_plain
from model.files import write_bytes

KEEP_S = 10.0
"""How long at most what was seen last is not on disk, in seconds."""


class LatestTime:
    """The latest time that was seen.

    Args:
        file: where it is kept over restarts; None: nowhere. One that can't be read or written counts as none.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._begun_s = time.monotonic()
        self._base = max(time.time(), self._kept())
        self._keep_at = 0.0

    def now(self) -> float:
        """Seconds since 1970, at least as many as were ever seen before and have passed since."""
        return max(time.time(), self._base + time.monotonic() - self._begun_s)

    def keep(self, *, at_once: bool = False) -> None:
        """Bring it to the disk; unless `at_once`, every `KEEP_S` seconds however often it is called."""
        if self._file is None or (time.monotonic() < self._keep_at and not at_once):
            return
        self._keep_at = time.monotonic() + KEEP_S
        with contextlib.suppress(OSError):
            write_bytes(self._file, f"{max(self.now(), self._kept()):.3f}\n".encode())

    def _kept(self) -> float:
        if self._file is None:
            return 0.0
        try:
            return float(read_plain(self._file, 64))
        except (OSError, ValueError):
            return 0.0
