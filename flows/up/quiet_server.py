"""Prefect's command line, whose server looks for its own work once a second, not eight times.

    python -m flows.up.quiet_server server start --host 127.0.0.1

Prefect gives no setting for it. What its services do is due in seconds at the earliest (`flows.up.parts`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import runpy
from datetime import timedelta

PAUSE = timedelta(seconds=1)
"""Between two looks; a quarter of a second by default."""
LOOKS = ("minimum_check_interval", "scheduling_resolution")
"""Arguments of the worker by which Prefect's server runs its services."""


def look_seldom() -> bool:
    """Have the worker of a server in this process look seldom; whether it will. Nothing changes where
    another version of Prefect does its work otherwise."""
    with contextlib.suppress(ImportError, AttributeError):
        place = importlib.import_module("prefect.server.api.background_workers")
        if set(LOOKS) <= set(inspect.signature(place.Worker).parameters):
            place.Worker = functools.partial(place.Worker, **dict.fromkeys(LOOKS, PAUSE))  # type: ignore[attr-defined]
            return True
    return False


if __name__ == "__main__":
    look_seldom()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
