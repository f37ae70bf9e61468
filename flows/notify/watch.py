"""What nobody runs to notice: runs that stopped, an override that ends soon, an endpoint that refuses.

`due` is a function of the state folder, the project and the time, for whatever goes on running: the follower
calls it every minute. Each is told once.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from flows.notify import record as records
from flows.notify.deliver import MOST_S
from flows.notify.notices import Notice
from flows.notify.record import Record
from flows.notify.tell import GRACE_S, tell
from model.errors import HeadgateError
from release.home import Home
from release.keys import public_key
from release.pointed import last_pointer
from release.saved_settings import state_file
from serving import client
from serving.process import control
from serving.store.override import Override, read_override
from serving.store.release_folder import ReleaseFolder

LATE = 1.5
"""A flow is late once no run of it has ended for so many of its longest pauses."""
ENDS_SOON_S = 86_400.0
"""An override that ends within so many seconds is told of."""
EVERY_S = 60.0
"""Pause between two looks of `watching`."""


def overdue(flow: str, period_s: float, record: Record, now: float) -> float | None:
    """When the last run of `flow` ended, or the record began, if that is too long ago; seconds since 1970."""
    last = float(record.ended.get(flow, record.since))
    return last if now - last > LATE * period_s else None


def due(home: Home, name: str, now: float | None = None) -> list[Notice]:
    """What there is to tell of project `name` at `now` (seconds since 1970); told before or not.

    Never raises: what can't be read is told by others.
    """
    moment = time.time() if now is None else now
    record = records.read(home, name)
    found = list(_late(name, record, moment))
    for look in (_ending_override, _refused):
        with contextlib.suppress(HeadgateError, OSError):
            found += look(home, name, moment)
    return found


def watch_once(home: Home, name: str, now: float | None = None) -> None:
    """Look once, and tell."""
    if records.record_file(home, name).exists():
        tell(home, name, due(home, name, now), now=now, wait_s=MOST_S + GRACE_S)


@contextlib.contextmanager
def watching(home: Home, name: str) -> Iterator[None]:
    """Look every minute, on a thread of its own, until the block ends."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(EVERY_S):
            watch_once(home, name)

    thread = threading.Thread(target=run, name="notify-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()


def _late(name: str, record: Record, now: float) -> Iterator[Notice]:
    for flow, period in record.periods.items():
        last = overdue(flow, float(period), record, now)
        if last is None:
            continue
        known = f"the last one ended {_at(last)}" if flow in record.ended else f"none since {_at(last)}"
        yield Notice(
            event="not_run",
            name=name,
            why=f"{flow}: no run has ended for {_span(now - last)}, expected every {_span(period)}; {known}",
            look=f"headgate status {name}",
            run=f"headgate {flow} {record.config}".strip() + ", and see that server and worker run",
            once=f"not_run {flow} {last:.0f}",
        )


def _ending_override(home: Home, name: str, now: float) -> Iterator[Notice]:
    override = _override(home, name)
    if override is None or not 0 < override.ends - now < ENDS_SOON_S:
        return
    yield Notice(
        event="override_expiring",
        name=name,
        version=override.version,
        why=f"it serves by an override of {override.by} that ends in {_span(override.ends - now)}; then the "
        "version that passed last serves again",
        look=f"headgate status {name}",
        run=f'headgate promote {name} {override.version} --override "why" --expires 7d (renews it)',
        once=f"override_expiring {override.version} {override.expires}",
    )


def _override(home: Home, name: str) -> Override | None:
    """The override that the champion serves by."""
    folder, keys = ReleaseFolder(home.releases(name), name), public_key(home, name)
    pointer = last_pointer(home, folder, keys)
    return None if pointer is None else read_override(folder.version_dir(pointer.version), keys)


def _refused(home: Home, name: str, now: float) -> Iterator[Notice]:
    running = control.status(state_file(home, name))
    if running is None:
        return
    _, ready = client.get(running.url, "/ready", timeout_s=3)
    refused = ready.get("refused")
    if not isinstance(refused, dict):
        return
    version = refused.get("version")
    yield Notice(
        event="endpoint_refused",
        name=name,
        version=version if isinstance(version, int) else None,
        why=f"the endpoint refuses it and serves version {ready.get('version')}: {refused.get('reason')}",
        look=f"headgate status {name}",
        run=f"headgate rollback {name}",
        once=f"endpoint_refused {version} {refused.get('since')}",
    )


def _at(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def _span(seconds: float) -> str:
    """A time span in one figure: `36 hours`."""
    for unit, of in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * of:
            return f"{seconds / of:.0f} {unit}"
    return f"{seconds:.0f} s"
