"""One at a time, across threads and processes: a lock that the system gives back when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from tasks.home import Home


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, waiting for whoever holds it now. Not reentrant."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def release_lock(home: Home, name: str) -> Path:
    """The lock that is held while pointer, aliases and journal of `name` are moved."""
    return home.locks / f"{name}.release.lock"
