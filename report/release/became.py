"""What became of a version, as flows know it and pages, terminal and registry say it. Plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What became of the version, in plain values."""

    registered: Mapping[str, Any] = field(default_factory=dict)
    """`version`, `run_id`, …; empty when nothing was registered."""
    deployed: Mapping[str, Any] = field(default_factory=dict)
    """`version`, `url`; empty when nothing was deployed."""
    champion: str = ""
    """What served when it was judged, such as `version 6`; empty when nothing did."""
    besides: Sequence[str] = ()
    """Sentences on what changed beside the data since what served: configuration, code, dependencies."""
    undone: str = ""
    """Why its deployment was taken back; empty where it was not."""
    held: str = ""
    """Why it was not promoted although it passed; empty where it was."""
    unconfirmed: str = ""
    """Why it is not known whether it answers as judged; empty where it is."""
    watched: str = ""
    """What was seen of a version that serves while it was watched; empty where it was not."""
    taken_back: str = ""
    """Why it was taken back while it was watched; empty where it was not."""
