"""Wait for a registry that is away: what was trained must not be lost because it restarts.

Does not know what is asked of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from release.registry.client import RegistryAway

T = TypeVar("T")
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 30.0
"""Pauses between two attempts, in seconds: each is twice the one before."""


def patiently(work: Callable[[], T], wait_s: float, say: Callable[[str], None]) -> T:
    """What `work` gives, tried again while the registry is away.

    Args:
        wait_s: longest wait, in seconds.
        say: told once that it waits, and for how long.

    Raises:
        RegistryAway: it was away all that time.
    """
    end_s, pause_s, said = time.monotonic() + wait_s, FIRST_PAUSE_S, False
    while True:
        try:
            return work()
        except RegistryAway as error:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise
            if not said:
                said = True
                say(f"  the registry is away, waiting up to {wait_s:.0f} s for it (registry.wait_s): {error}")
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
