"""What each worker of an endpoint serves, told to the others by small files in one folder.

Any worker may be asked for `/ready` and `/metrics`, and must speak for all. Does not start workers
(`serving.process.supervisor`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.files import write_bytes
from serving.process.control import start_ticks

METRICS_FOLDER = "metrics"
"""Folder beside the workers' files in which the Prometheus client adds up the counters of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """What one worker says of itself."""

    worker: int
    """Its number, from 0; a restarted worker keeps it."""
    pid: int | None
    """Process id; None while it is being started."""
    start_ticks: int | None = None
    """Start time of that process, by which it is told from a later one with its id."""
    version: int | None = None
    """Version that it serves."""
    overridden: bool = False
    """Whether it serves by an override."""
    refused: Mapping[str, Any] | None = None
    """`version`, `reason`, `since` of what it refused, if the pointer asks for that still."""


class Board:
    """The files of all workers.

    Args:
        folder: where they lie; made by the supervisor.
        count: how many workers there are to be.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count

    def write(self, state: WorkerState) -> None:
        """Tell the others.

        Raises:
            OSError: the folder can't be written.
        """
        write_bytes(self.folder / f"{state.worker}.json", json.dumps(asdict(state)).encode())

    def read(self) -> list[WorkerState]:
        """All workers by number; one that died, or is not up yet, serves nothing."""
        return [self._read(worker) for worker in range(self.count)]

    def _read(self, worker: int) -> WorkerState:
        try:
            state = WorkerState(**json.loads((self.folder / f"{worker}.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return WorkerState(worker=worker, pid=None)
        alive = state.pid is not None and start_ticks(state.pid) == state.start_ticks
        return state if alive else WorkerState(worker=worker, pid=None)


def board_folder(state_file: Path) -> Path:
    """Where the workers of the endpoint with this state file tell each other what they serve."""
    return state_file.with_suffix(".workers")


def resident_bytes(pid: int | None) -> int:
    """Resident set of a process; 0 where there is none."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
