"""What each worker of an endpoint serves, shared among them by small files in one folder.

Any worker may be asked for `/ready` and `/metrics`, and answers for all. Does not start workers
(`serving.process.supervisor`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.files import write_json
from serving.processes import process_start

METRICS_FOLDER = "metrics"
"""Folder beside the workers' files in which the Prometheus client adds up the counters of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """What one worker serves."""

    worker: int
    """Its number, from 0; a restarted worker keeps it."""
    pid: int | None
    """Process id; None while it is being started."""
    start_ticks: int | None = None
    """Start of that process in clock ticks since boot, by which it differs from a later one with its id."""
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
        """Replace the file of one worker.

        Raises:
            OSError: the folder can't be written.
        """
        write_json(self.folder / f"{state.worker}.json", asdict(state))

    def read(self) -> list[WorkerState]:
        """All workers by number; one that died, or is not up yet, serves nothing."""
        return [self._read(worker) for worker in range(self.count)]

    def _read(self, worker: int) -> WorkerState:
        try:
            state = WorkerState(**json.loads((self.folder / f"{worker}.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return WorkerState(worker=worker, pid=None)
        alive = state.pid is not None and process_start(state.pid) == state.start_ticks
        return state if alive else WorkerState(worker=worker, pid=None)


def board_folder(state_file: Path) -> Path:
    """Folder of the board of the endpoint with this state file."""
    return state_file.with_suffix(".workers")
