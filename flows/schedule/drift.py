"""Which drift starts a retraining: at most one in `schedule.cooldown`, and none twice for the same data.

Data that have drifted stay so until somebody retrains, and are judged every day. Kept beside the schedule,
under a lock, because two validations may end together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.config.schema import Project
from model.files import RecordDamaged, locked, read_record, write_json
from release.home import Home
from report.progress import print_line
from tasks.data.emit_drift_event import emit_drift_event


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The last drift that an event told of."""

    fingerprint: str
    """Of the data."""
    at: str
    """When: ISO 8601, UTC."""


def tell_drift(home: Home, project: Project, config: Path, fingerprint: str, drifted: Sequence[str]) -> bool:
    """Emit the event that starts a retraining, unless that was done for these data, or a moment ago; whether
    it was emitted.

    Args:
        fingerprint: of the data that have drifted.
        drifted: what has.
    """
    name = project.name
    with locked(home.locks / f"{name}.drift.lock"):
        reason = held_back(_last(home, name), fingerprint, project.schedule.cooldown_span)
        if reason:
            print_line(f"  drift starts no retraining: {reason}")
            return False
        emit_drift_event(name, config, drifted)
        told = Told(fingerprint=fingerprint, at=datetime.now(UTC).isoformat(timespec="seconds"))
        write_json(_path(home, name), asdict(told), mode=0o600)
    return True


def held_back(last: Told | None, fingerprint: str, cooldown: timedelta, now: datetime | None = None) -> str:
    """Why drift of these data starts no retraining now; empty where it does."""
    if last is None:
        return ""
    if last.fingerprint == fingerprint:
        return f"one was started for the same data on {last.at}"
    try:
        since = (now or datetime.now(UTC)) - datetime.fromisoformat(last.at)
    except (ValueError, TypeError):  # not a time, or without its zone: a damaged record holds nothing back
        return ""
    if timedelta(0) <= since < cooldown:
        return f"one was started on {last.at}, and schedule.cooldown is {_hours(cooldown)}"
    return ""


def _last(home: Home, name: str) -> Told | None:
    try:
        return read_record(_path(home, name), Told)
    except RecordDamaged:
        return None


def _path(home: Home, name: str) -> Path:
    return home.schedules / f"{name}.told.json"


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:g} h"
