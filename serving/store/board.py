"""What each worker of an endpoint serves and has counted, shared in memory that their supervisor makes.

Any worker may be asked for `/ready` and `/metrics`, and answers for all. No file, so that a full disk stops
nobody; read and written, never mapped, so that memory that can't be had is an error and not a signal. Does
not start workers (`serving.process.supervisor`).
"""

from __future__ import annotations

import errno
import json
import os
import struct
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from serving.processes import process_start

Counts: TypeAlias = Mapping[str, Sequence[Sequence[Any]]]
"""Metric → its samples, each (name, labels, value)."""

HALF_BYTES = 1024 * 1024
"""Room for one record; each worker has two, and writes them in turn. What is not written takes no memory."""
_HEAD = struct.Struct("<QIII")
"""Number of the record; bytes of the state and of the counts; checksum of both."""


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
    turned_s: float | None = None
    """When its loop, which answers, took a turn last, by the monotonic clock; None before it listens."""


class Board:
    """The records of all workers. One process writes for one worker; all read.

    Args:
        descriptor: of the memory, from `make`.
        count: how many workers there are to be.
    """

    def __init__(self, descriptor: int, count: int) -> None:
        self.descriptor = descriptor
        self.count = count
        self._writing = threading.Lock()

    @classmethod
    def make(cls, count: int) -> Board:
        """An empty board; its memory goes when the last process that holds it ends."""
        descriptor = os.memfd_create("headgate-board")
        os.ftruncate(descriptor, count * 2 * HALF_BYTES)
        return cls(descriptor, count)

    def write(self, state: WorkerState, counts: Counts) -> None:
        """Replace the record of one worker.

        Raises:
            OSError: it is too large, or there is no memory for it.
        """
        about, counted = json.dumps(asdict(state)).encode(), json.dumps(counts).encode()
        if _HEAD.size + len(about) + len(counted) > HALF_BYTES:
            raise OSError(errno.EFBIG, f"the record of a worker exceeds {HALF_BYTES} bytes")
        with self._writing:
            number = self._newest(state.worker)[0] + 1
            head = _HEAD.pack(number, len(about), len(counted), zlib.crc32(about + counted))
            os.pwrite(self.descriptor, head + about + counted, self._place(state.worker, number % 2))

    def read(self) -> list[WorkerState]:
        """All workers by number; one that died, or is not up yet, serves nothing."""
        return [self._state(worker) for worker in range(self.count)]

    def counts(self, worker: int) -> Counts:
        """What a worker had counted when it last wrote, whether it still runs or not."""
        counted = self._newest(worker)[2]
        return json.loads(counted) if counted else {}

    def of(self, worker: int, pid: int) -> WorkerState | None:
        """What a worker wrote last, if the process `pid` did; None otherwise."""
        about = self._newest(worker)[1]
        found = WorkerState(**json.loads(about)) if about else None
        return found if found is not None and found.pid == pid else None

    def _state(self, worker: int) -> WorkerState:
        about = self._newest(worker)[1]
        if not about:
            return WorkerState(worker=worker, pid=None)
        state = WorkerState(**json.loads(about))
        alive = state.pid is not None and process_start(state.pid) == state.start_ticks
        return state if alive else WorkerState(worker=worker, pid=None)

    def _newest(self, worker: int) -> tuple[int, bytes, bytes]:
        """Number, state and counts of a worker's last whole record; (0, nothing, nothing) if it has none.

        While the older half is being written the newer one is whole; a reader that is overtaken twice finds
        a checksum that does not fit, and the next record.
        """
        for _ in range(3):
            found = max(self._half(worker, half) for half in (0, 1))
            if found[0]:
                return found
        return 0, b"", b""

    def _half(self, worker: int, half: int) -> tuple[int, bytes, bytes]:
        place = self._place(worker, half)
        number, about, counted, checksum = _HEAD.unpack(os.pread(self.descriptor, _HEAD.size, place))
        # A head that is being written may say anything: no more than the room is read.
        size = min(about + counted, HALF_BYTES - _HEAD.size)
        body = os.pread(self.descriptor, size, place + _HEAD.size)
        if zlib.crc32(body) != checksum:
            return 0, b"", b""
        return number, body[:about], body[about:]

    def _place(self, worker: int, half: int) -> int:
        return (2 * worker + half) * HALF_BYTES
