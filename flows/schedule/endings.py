"""How the last runs of a project ended: a small file that every flow adds to, for `headgate status`.

Holds the last `MOST` endings, so that it never grows. Does not know what the flows do, nor Prefect.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from model.bundle.masking import masked
from model.files import RecordDamaged, as_record, locked, parse_json, plain_bytes, write_json
from release.home import Home
from report.progress import LOGGER

MOST = 50
"""Endings that are kept of a project."""
SHOWN_CHARS = 300
"""Longest reason that is kept, in characters."""
PATIENCE_S = 10.0
"""Longest wait for another run that ends at this moment, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one run ended."""

    flow: str
    """Which flow."""
    end: str
    """Name of its final state."""
    detail: str = ""
    """Why, in one sentence; empty where there is nothing to say."""
    seconds: float = 0.0
    """How long it took."""
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """When: ISO 8601, UTC."""


def note_ending(home: Home, name: str, ending: Ending) -> None:
    """Add an ending of project `name`. A run is not lost because this can't be written: that is logged."""
    path = home.endings / f"{name}.json"
    detail = masked(ending.detail)
    if len(detail) > SHOWN_CHARS:
        detail = f"{detail[:SHOWN_CHARS]}…"
    ending = replace(ending, detail=detail)
    try:
        with locked(home.locks / f"{name}.endings.lock", timeout_s=PATIENCE_S):
            kept = [*last_endings(home, name, MOST - 1), ending]
            write_json(path, [asdict(one) for one in kept], mode=0o600)
    except OSError as error:
        logging.getLogger(LOGGER).warning(
            "how this run ended could not be noted in %s: %s", path, type(error).__name__
        )


def last_endings(home: Home, name: str, most: int) -> list[Ending]:
    """The last endings of project `name`, oldest first; none where the file is damaged: the next one begins
    it anew."""
    if most < 1:
        return []
    try:
        raw = parse_json(plain_bytes(home.root / "endings" / f"{name}.json") or b"[]")
        return [as_record(one, Ending) for one in raw[-most:]] if isinstance(raw, list) else []
    except RecordDamaged:
        return []
