"""The process that delivers messages: `python -m flows.notify.deliver LOG < jobs.json`.

Jobs come by standard input, because they hold addresses; what became of each goes to standard output as JSON
and as a line to LOG. It ends by itself: a target that is down delays nobody.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MOST_S = 30.0
"""Longest that all deliveries together may take, in seconds."""
MOST_LOG_BYTES = 1_000_000
"""Size beyond which the log is begun anew; the former one is kept beside it as `.1`."""
UNKNOWN_ADDRESS = "its address is none that apprise knows; correct it there"
NOT_TAKEN = "nobody answered at its address, or the message was refused"
TOO_SLOW = f"no answer within {MOST_S:.0f} s"
GOOD, BAD = frozenset({"deployed", "unchanged"}), frozenset({"failed", "not_run", "endpoint_refused"})
"""Events that a target may show in green, and in red."""


def main() -> None:
    """Read the jobs, deliver them beside each other, say what came of it, end."""
    jobs: list[Mapping[str, str]] = json.load(sys.stdin)
    logging.disable(logging.CRITICAL)  # a library's lines might hold an address
    done: list[str | None] = [TOO_SLOW for _ in jobs]
    threads = [
        threading.Thread(target=_deliver, args=(jobs, at, done), daemon=True) for at in range(len(jobs))
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + MOST_S
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    found = [
        {"place": job["place"], "ok": not why, "why": why or ""} for job, why in zip(jobs, done, strict=True)
    ]
    with contextlib.suppress(OSError):
        _log(Path(sys.argv[1]), jobs, found)
    with contextlib.suppress(OSError):
        sys.stdout.write(json.dumps(found))
        sys.stdout.flush()
    os._exit(0)  # threads that wait for a target are not waited for


def _deliver(jobs: Sequence[Mapping[str, str]], at: int, done: list[str | None]) -> None:
    """Deliver one job; why it was not, in `done`."""
    try:
        done[at] = send(jobs[at])
    except Exception as error:  # of a plugin; its text might hold the address
        done[at] = f"{type(error).__name__} in the plugin of its address"


def send(job: Mapping[str, str]) -> str | None:
    """Deliver a message; why it was not, None where it was."""
    import apprise  # late: the process that runs flows never loads it

    kind = apprise.NotifyType.INFO
    if job["event"] in GOOD:
        kind = apprise.NotifyType.SUCCESS
    elif job["event"] in BAD:
        kind = apprise.NotifyType.FAILURE
    where = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Headgate", app_desc="Headgate", app_url=""))
    if not where.add(job["url"]):
        return UNKNOWN_ADDRESS
    sent = where.notify(
        title=job["title"], body=job["body"], notify_type=kind, body_format=apprise.NotifyFormat.TEXT
    )
    return None if sent else NOT_TAKEN


def _log(path: Path, jobs: Sequence[Mapping[str, str]], found: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.stat().st_size > MOST_LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with path.open("a", encoding="utf-8") as log:
        for job, one in zip(jobs, found, strict=True):
            what = "delivered" if one["ok"] else f"NOT delivered: {one['why']}"
            log.write(f"{at}  {job['title']}  {one['place']}: {what}\n")


if __name__ == "__main__":
    main()
