"""Several worker processes behind one port: started, restarted when they die or hang, ended together.

All workers accept from one listening socket that this process holds, so a worker that dies takes no
waiting connection with it. Does not answer requests and loads no model.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from serving.process.server import LINGER_S
from serving.store.board import Board

log = logging.getLogger("serving")

LOOK_S = 0.1
"""How often it looks after its workers, in seconds."""
YOUNG_S = 5.0
"""A worker that dies younger than this waits before it is started again: it would die again."""
HUNG_LOOK_S = 0.5
"""How often it looks whether the loops of its workers still turn, in seconds."""
STARTING_S = 600.0
"""A worker that has loaded nothing after so long counts as hanging, in seconds: it may load from afar."""
WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Waits before the first, second, … restart of a worker that dies young, in seconds."""


class Supervisor:
    """Keeps `board.count` workers running until it is asked to end.

    Args:
        command: runs one worker in the foreground; its number is added.
        sock: the listening socket that they share; closed here when they are to end.
        board: where they share what they serve and count.
        drain_s: how long they may take to end, in seconds.
        silent_s: how long the loop of a worker may not turn before it is ended and started again, in seconds.
    """

    def __init__(
        self, command: Sequence[str], sock: socket.socket, board: Board, *, drain_s: float, silent_s: float
    ) -> None:
        self._command = list(command)
        self._sock = sock
        self._board = board
        self._drain_s = drain_s
        self._hung = _Hung(board, silent_s)
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._started: dict[int, float] = {}
        self._due = dict.fromkeys(range(board.count), 0.0)
        self._young_deaths = dict.fromkeys(range(board.count), 0)
        self._ending = threading.Event()

    def run(self) -> None:
        """Start the workers and look after them until SIGTERM or SIGINT; then drain and return."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_end)
        while not self._ending.is_set():
            self._look_after_all()
            self._kill_hung()
            self._ending.wait(LOOK_S)
        self._drain()

    def _asked_to_end(self, number: int, frame: FrameType | None) -> None:
        if self._ending.is_set():
            for process in self._running.values():
                process.send_signal(signal.SIGTERM)  # a second signal ends a worker at once
        self._ending.set()

    def _look_after_all(self) -> None:
        now = time.monotonic()
        for worker, process in list(self._running.items()):
            code = process.poll()
            if code is not None:
                del self._running[worker]
                self._due[worker] = now + self._wait_s(worker, now)
                log.error("worker ended", extra={"worker": worker, "pid": process.pid, "code": code})
        for worker in sorted(set(self._due) - set(self._running)):
            if now >= self._due[worker]:
                self._start(worker)

    def _kill_hung(self) -> None:
        # The loop and not the process is asked: one that is stopped, or waits for ever, still lives, and the
        # connections that it accepted or is given by the kernel wait with it.
        for worker in self._hung.among({worker: process.pid for worker, process in self._running.items()}):
            process = self._running[worker]
            log.error("worker hangs", extra={"worker": worker, "pid": process.pid})
            process.kill()

    def _wait_s(self, worker: int, now: float) -> float:
        if now - self._started[worker] >= YOUNG_S:
            self._young_deaths[worker] = 0
            return 0.0
        deaths = self._young_deaths[worker]
        self._young_deaths[worker] = min(deaths + 1, len(WAITS_S) - 1)
        return WAITS_S[deaths]

    def _start(self, worker: int) -> None:
        listening, board = self._sock.fileno(), self._board.descriptor
        command = [*self._command, "--worker", str(worker), "--listen-fd", str(listening)]
        command += ["--board-fd", str(board), "--supervisor", str(os.getpid())]
        # Its own session would hide it from a terminal's Ctrl-C; as it is, both get it, and both drain.
        self._running[worker] = subprocess.Popen(command, pass_fds=[listening, board])
        self._started[worker] = time.monotonic()
        log.info("worker started", extra={"worker": worker, "pid": self._running[worker].pid})

    def _drain(self) -> None:
        # This process closes the socket before its workers do: then it closes for good with the last worker,
        # at a moment when nobody connects.
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        time.sleep(0.8 * LINGER_S)  # they accept for so long
        self._sock.close()
        deadline = time.monotonic() + self._drain_s
        for worker, process in self._running.items():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("worker killed", extra={"worker": worker, "pid": process.pid})
                process.kill()
                process.wait()


class _Hung:
    """Finds workers whose loop does not turn.

    Time counts only while this process runs, look by look: after a pause of the whole machine, or of all of
    these processes, nobody hangs; beside other work that takes the processor, looks are late for all.

    Args:
        board: where they share when their loop turned.
        allowed_s: how long no turn may be seen, in seconds.
    """

    def __init__(self, board: Board, allowed_s: float) -> None:
        self._board, self._allowed_s = board, allowed_s
        self._looked = time.monotonic()
        self._seen: dict[int, tuple[int, bool, float | None]] = {}
        """Worker → its process, whether it is starting, and the last turn that was seen."""
        self._silent_s: dict[int, float] = {}

    def among(self, running: Mapping[int, int]) -> list[int]:
        """Those that hang, each named once for a process. `running`: worker → its process id."""
        now = time.monotonic()
        if now - self._looked < HUNG_LOOK_S:
            return []
        passed_s, self._looked = min(now - self._looked, 2 * HUNG_LOOK_S), now
        hung = []
        for worker, pid in running.items():
            state = self._board.of(worker, pid)
            # One that has loaded a version listens within moments, whether a turn was seen yet or not.
            starting = state is None or (state.turned_s is None and state.version is None)
            seen = (pid, starting, state.turned_s if state is not None else None)
            if self._seen.get(worker) != seen:
                self._seen[worker], self._silent_s[worker] = seen, 0.0
                continue
            allowed_s = STARTING_S if starting else self._allowed_s
            before = self._silent_s[worker]
            self._silent_s[worker] += passed_s
            if before < allowed_s <= self._silent_s[worker]:
                hung.append(worker)
        return hung
