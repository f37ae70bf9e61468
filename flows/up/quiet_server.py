"""Prefect's command line, whose server looks for its own work once a second, not twenty times, and does not
keep its database in memory.

    python -m flows.up.quiet_server server start --host 127.0.0.1

Prefect gives no setting for either. What its services do is due in seconds at the earliest
(`flows.up.parts`). A connection to its database keeps up to 80 MB of it, and there are several: over months
the server would grow with its database, which the system's own cache holds anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import inspect
import queue
import runpy
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

PAUSE = timedelta(seconds=1)
"""Between two looks; a quarter of a second by default."""
CACHE_KIB = 2000
"""Of its database in memory, by connection, in KiB."""
LOOKS = ("minimum_check_interval", "scheduling_resolution")
"""Arguments of the worker by which Prefect's server runs its services."""


def look_seldom() -> bool:
    """Have the worker of a server in this process look seldom; whether it will. Nothing changes where
    another version of Prefect does its work otherwise."""
    with contextlib.suppress(ImportError, AttributeError):
        place = importlib.import_module("prefect.server.api.background_workers")
        inbox = importlib.import_module("burner_redis.pubsub").PubSub
        if set(LOOKS) <= set(inspect.signature(place.Worker).parameters):
            inbox._queue_get = _patient(inbox._queue_get)
            place.Worker = functools.partial(place.Worker, **dict.fromkeys(LOOKS, PAUSE))  # type: ignore[attr-defined]
            return True
    return False


def keep_little() -> bool:
    """Have connections to Prefect's database keep as much of it as SQLite usually does; whether they will."""
    with contextlib.suppress(ImportError, AttributeError):
        kind = importlib.import_module("prefect.server.database.configurations").AioSqliteConfiguration
        usual = kind.setup_sqlite

        def set_up(self: Any, connection: Any, record: Any) -> None:
            usual(self, connection, record)
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA cache_size = {-CACHE_KIB}")
            cursor.close()

        kind.setup_sqlite = set_up
        return True
    return False


def _patient(usual: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A way to wait for a message, which comes at once, that begins anew each second. The usual one starts a
    turn of a thread ten times a second."""

    async def get(self: Any, timeout: float | None = 0.0) -> Any:
        if not timeout:
            return await usual(self, timeout)
        try:
            return await asyncio.to_thread(self._queue.get, True, max(timeout, PAUSE.total_seconds()))
        except queue.Empty:
            return None

    return get


if __name__ == "__main__":
    look_seldom()
    keep_little()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
