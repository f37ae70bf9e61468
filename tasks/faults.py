"""Named points at which a test can end this process, one after every step that leaves something behind.

`HEADGATE_FAULT=champion_moved:kill` ends it there as a power cut would. Without the variable a point
costs one look at the environment. Does not know what the steps do.
"""

from __future__ import annotations

import os
import signal
import time

VARIABLE = "HEADGATE_FAULT"
"""`POINT:KIND`, with a kind of `KINDS`."""

KINDS = ("kill", "term", "raise")
"""SIGKILL, SIGTERM, or the exception `Fault`."""

POINTS = (
    # the store
    "store_written",
    "store_made",
    # registering
    "run_opened",
    "figures_logged",
    "dataset_logged",
    "model_saved",
    "model_logged",
    "version_registered",
    "run_closed",
    "pages_logged",
    # promoting
    "promotion_begun",
    "staged",
    "release_logged",
    # moving the pointer and the aliases: promoting, rolling back, restoring
    "pointer_moved",
    "pointer_tagged",
    "previous_moved",
    "champion_moved",
    "move_journalled",
    # deploying
    "endpoint_started",
    "endpoint_swapped",
    "endpoint_verified",
    "deployment_journalled",
    # restoring and rolling back
    "restore_begun",
    "rollback_begun",
    # following
    "version_fetched",
    "version_installed",
    "pointer_followed",
)
"""Every point, in the order in which a run passes them."""


class Fault(Exception):
    """Raised at a point on request, as an unforeseen error would be."""


def fault(point: str) -> None:
    """End here if that was asked for.

    Raises:
        Fault: it was, with the kind `raise`.
        ValueError: `point` is not one of `POINTS`, or the variable's kind is not one of `KINDS`.
    """
    if point not in POINTS:
        raise ValueError(f"{point!r} is not a fault point; add it to tasks.faults.POINTS")
    wanted, _, kind = os.environ.get(VARIABLE, "").partition(":")
    if wanted != point:
        return
    if kind == "raise":
        raise Fault(f"fault asked for at {point}")
    if kind not in KINDS:
        raise ValueError(f"{VARIABLE}={wanted}:{kind}: expected one of {', '.join(KINDS)}")
    os.kill(os.getpid(), signal.SIGKILL if kind == "kill" else signal.SIGTERM)
    time.sleep(60)  # a signal may take a moment; nothing after this point may run
