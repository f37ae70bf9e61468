"""The follower as a process: until SIGTERM or Ctrl-C, one JSON line on standard output for each change.

It also tells of what no run can notice (`flows.notify.watch`).
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import asdict

from flows.cli import exit_codes
from flows.notify.watch import watch_once, watching
from release.targets.follower import FollowJob, Seen, follow


def run_follower(job: FollowJob, *, once: bool) -> int:
    """Follow, or look once; the exit code: with `once` 0 if the folder is equal to the registry."""
    stop = threading.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    if once:
        stop.set()
    try:
        with watching(job.home, job.name):
            seen = follow(job, stop, _print)
        if once:
            watch_once(job.home, job.name)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    equal = seen.state in ("current", "followed")
    return exit_codes.FAILED if once and not equal else exit_codes.DONE


def _print(seen: Seen) -> None:
    sys.stdout.write(json.dumps(asdict(seen)) + "\n")
    sys.stdout.flush()
