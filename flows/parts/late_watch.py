"""What a run does about a watch over a deployed version whose process died: go on, or take it back."""

from __future__ import annotations

import os
from typing import Any

from release.bake.record import bake_file
from release.home import Home


def late_ending(home: Home, name: str, *, begun_only: bool = False) -> dict[str, Any] | None:
    """Fields of `flows.outcome.Outcome` of a run that found a watch cut short and took the version back; None
    where there was none, or it ended well.

    Args:
        begun_only: leave a watch that has not begun to whoever deploys.
    """
    if not os.path.lexists(bake_file(home, name)):
        return None
    from flows.parts.conclude import serving_after  # late: most runs find nothing, and need no statistics
    from tasks.release.bake import bake

    outcome = bake(home, name, begun_only=begun_only)
    if outcome is None or outcome.end not in ("taken back", "stuck"):
        return None
    why = f"version {outcome.version}, whose watch was cut short: {outcome.why}"
    stage = "taken_back" if outcome.end == "taken back" else "unconfirmed"
    return {"stage": stage, "reasons": (why,), "deployed": serving_after(outcome)}
