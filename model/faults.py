"""Named points at which a test can end this process, one after every step that leaves something behind.

`HEADGATE_FAULT=champion_moved:kill` ends it there as a power cut would. Without the variable a point
costs one look at the environment. Here, in the lowest layer, because every layer leaves something behind;
needs the standard library only. Does not know what the steps do.
"""

from __future__ import annotations

import os
import signal
import time

VARIABLE = "HEADGATE_FAULT"
"""`POINT:KIND`, with a kind of `KINDS`."""

KINDS = ("kill", "term", "raise")
"""SIGKILL, SIGTERM, or the exception `Fault`."""

STEPS: dict[str, tuple[str, ...]] = {
    "start": ("key_made", "store_written", "store_made"),
    "merge": ("dataset_written", "dataset_made", "run_folder_made"),
    "train": (
        *("tokens_written", "tokens_made", "checkpoint_written", "weights_written", "fit_made"),
        *("teacher_written", "teacher_made", "bundle_written", "bundle_made", "baseline_packaged"),
        *("scores_written", "scores_made"),
    ),
    "register": (
        *("experiment_made", "run_opened", "figures_logged", "verdict_logged"),
        *(
            "seen_texts_logged",
            "files_logged",
            "dataset_logged",
            "model_opened",
            "model_saved",
            "model_logged",
            "model_closed",
        ),
        *("model_named", "version_registered", "version_tagged", "judgement_logged", "run_closed"),
        *("registration_journalled", "pages_logged"),
    ),
    "judge": ("judgement_kept", "verdict_tagged", "verdict_replaced"),
    "promote": ("promotion_begun", "version_copied", "staged", "manifest_logged", "release_logged"),
    # promoting, rolling back, restoring
    "move": (
        *("pointer_written", "pointer_kept", "pointer_moved", "pointer_tagged", "previous_moved"),
        *("champion_moved", "move_journalled"),
    ),
    "deploy": (
        *("settings_saved", "endpoint_started", "endpoint_swapped", "endpoint_verified"),
        *("deployment_journalled", "versions_pruned"),
    ),
    "undo": ("refusal_journalled", "restore_begun", "version_dropped", "endpoint_stopped"),
    "rollback": ("rollback_begun",),
    "bake": ("bake_planned", "bake_begun", "bake_broken", "bake_taken_back", "bake_journalled"),
    "clean": ("model_removed", "versions_cleaned", "folder_cleaned"),
    "follow": (
        "version_fetched",
        "version_aside",
        "version_installed",
        "pointer_followed",
        "follower_reported",
    ),
    "reconcile": (
        "moves_finished",
        "champion_checked",
        "aliases_checked",
        "leftovers_removed",
        "runs_closed",
    ),
}
"""What is being done → its points, in the order in which they are passed."""

POINTS = tuple(point for points in STEPS.values() for point in points)
"""Every point."""


class Fault(Exception):
    """Raised at a point on request, as an unforeseen error would be."""


def fault(point: str) -> None:
    """End here if that was asked for.

    Raises:
        Fault: it was, with the kind `raise`.
        ValueError: `point` is not one of `POINTS`, or the variable's kind is not one of `KINDS`.
    """
    if point not in POINTS:
        raise ValueError(f"{point!r} is not a fault point; add it to model.faults.STEPS")
    wanted, _, kind = os.environ.get(VARIABLE, "").partition(":")
    if wanted != point:
        return
    if kind == "raise":
        raise Fault(f"fault asked for at {point}")
    if kind not in KINDS:
        raise ValueError(f"{VARIABLE}={wanted}:{kind}: expected one of {', '.join(KINDS)}")
    os.kill(os.getpid(), signal.SIGKILL if kind == "kill" else signal.SIGTERM)
    # A signal may take a moment, and nothing after this point may run; only who answers SIGTERM by
    # finishing what is under way (the follower) goes on.
    time.sleep(5)
