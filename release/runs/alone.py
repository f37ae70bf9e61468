"""One retraining of a project at a time, over all processes; who holds the lock is written beside it.

The system frees the lock when its holder dies, however it dies, so that a dead holder keeps nobody out.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from model.files import RecordDamaged, locked, read_record, write_json
from release.home import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who runs a project now."""

    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """ISO 8601, UTC."""
    run: str = ""
    """Name of the run in Prefect."""

    @property
    def said(self) -> str:
        """One sentence."""
        run = f"the run {self.run}, " if self.run else ""
        return f"another run is at work: {run}process {self.pid} on {self.host}, since {self.since}"


@contextlib.contextmanager
def alone(home: Home, name: str, run: str = "") -> Iterator[str]:
    """Hold the lock of project `name` for a retraining. Yields an empty text, or who holds it where that is
    another: then nothing is held.

    Args:
        run: name of this run, for others to read.
    """
    lock = home.run_lock(name)
    about = lock.with_suffix(".json")
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(lock, timeout_s=0))
        except TimeoutError:
            busy = _holder(about)
        else:
            busy = ""
            write_json(about, asdict(Holder(run=run)))
            held.callback(about.unlink, missing_ok=True)
        yield busy


def _holder(about: Path) -> str:
    """Who holds the lock, as far as that is known: it may have been taken this very moment."""
    with contextlib.suppress(RecordDamaged):
        holder = read_record(about, Holder)
        if holder is not None:
            return holder.said
    return "another run is at work"
