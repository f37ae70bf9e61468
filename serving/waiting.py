"""Waiting for something that another process does. The only place of `serving` that asks again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(find: Callable[[], T | None], *, timeout_s: float, poll_s: float) -> T | None:
    """What `find` returns once it is not None; None if that takes longer than `timeout_s`.

    Args:
        find: asked at once, then every `poll_s` seconds. What it raises ends the wait.
        timeout_s: longest wait, in seconds.
        poll_s: pause between two questions, in seconds.
    """
    deadline = time.monotonic() + timeout_s
    while (found := find()) is None:
        if time.monotonic() >= deadline:
            return None
        time.sleep(poll_s)
    return found
