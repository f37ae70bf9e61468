"""Progress events: what a command of `model` reports while it works, one JSON object a line (stdlib only)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

Event = Mapping[str, Any]
"""A JSON object; its field `event` names the kind: `step`, `epoch`, `scored`, …, and `done` for the last."""

OnEvent = Callable[[Event], None]
"""Takes one progress event."""


def print_event(event: Event) -> None:
    """Write one event as one line of JSON to standard output."""
    sys.stdout.write(json.dumps(event, allow_nan=False) + "\n")
    sys.stdout.flush()


def ignore_event(event: Event) -> None:
    """Report nothing."""
