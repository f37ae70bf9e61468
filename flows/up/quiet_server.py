"""Prefect's command line, whose server looks for its own work once a second, not twenty times.

    python -m flows.up.quiet_server server start --host 127.0.0.1

Prefect gives no setting for it. What its services do is due in seconds at the earliest (`flows.up.parts`).
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
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
