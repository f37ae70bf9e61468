"""Ends an interrupted flow within seconds, also where Prefect would go on for minutes.

Ctrl-C and a service manager signal every process of a run, and so its temporary Prefect server too. Prefect
then goes on telling the dead server what became of the flow: 158 s were seen. Does not know what was under
way: the next start puts right what was left half done, as after a kill -9.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

CLEANING_S = 10.0
"""How long an interrupted flow may clean up, in seconds."""
INTERRUPTS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def ended_in_time() -> Iterator[None]:
    """While the block runs, SIGTERM and SIGINT end it as an exception does (`SystemExit`, 128 + signal), so
    that a training under way is stopped; the process ends `CLEANING_S` later, whatever it does then.

    To be entered in the main thread. Prefect puts its own handler of SIGTERM over ours while a flow runs, so
    the deadline hangs on no handler: Python writes the number of each signal that it handles to a socket.
    """
    listening, waking = socket.socketpair()
    waking.setblocking(False)
    before = {number: signal.signal(number, interrupted) for number in INTERRUPTS}
    other = signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_leave_in_time, args=(listening,), name="interrupts", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(other)
        for number, handler in before.items():
            signal.signal(number, handler)
        waking.close()


def interrupted(number: int, frame: FrameType | None) -> NoReturn:
    """End as an exception does, so that whatever is under way is cleaned up: the handler."""
    raise SystemExit(128 + number)


def _leave_in_time(listening: socket.socket) -> None:
    with listening:
        while numbers := listening.recv(64):
            interrupts = [number for number in numbers if number in INTERRUPTS]
            if interrupts:
                time.sleep(CLEANING_S)
                os.write(
                    2, b"headgate: interrupted; the next start puts right what this run left half done\n"
                )
                os._exit(128 + interrupts[0])
