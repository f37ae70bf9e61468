"""When a project runs, kept in its state folder: for `headgate status`, which asks no server.

Written by `headgate schedule`. Does not know Prefect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from flows.schedule.times import cron_problem, next_start, zone_problem
from model.files import RecordDamaged, read_record, write_json
from release.home import Home

POOL = "headgate"
"""Work pool of all deployments, of type `process`."""
GRACE_S = 300
"""How long a run that got the place may take to begin before the place is free again, in seconds: its process
loads libraries for tens of seconds, more on a busy machine. From then on the run renews its lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A schedule as a Prefect server has it."""

    cron: str | None
    """Of the retraining."""
    validate_cron: str | None
    """Of the data validation."""
    timezone: str
    """Of both."""
    server: str
    """Address of the server."""
    config: str
    """Configuration, absolute."""


def keep_schedule(home: Home, name: str, scheduled: Scheduled) -> None:
    """Keep the schedule of project `name`."""
    write_json(home.schedules / f"{name}.json", asdict(scheduled), mode=0o600)


def forget_schedule(home: Home, name: str) -> None:
    """Keep none any more."""
    (home.schedules / f"{name}.json").unlink(missing_ok=True)


def next_starts(home: Home, name: str, now: datetime | None = None) -> list[str]:
    """The next start of each flow of project `name` in words; none where it has no schedule.

    What is damaged counts as none: `headgate schedule CONFIG` writes it again.
    """
    try:
        kept = read_record(home.root / "schedules" / f"{name}.json", Scheduled)
    except RecordDamaged:
        kept = None
    return [] if kept is None else sorted(_starts(kept, now or datetime.now(UTC)))


def _starts(kept: Scheduled, now: datetime) -> Iterator[str]:
    for flow, cron in (("retrain", kept.cron), ("validate", kept.validate_cron)):
        if cron is not None and not cron_problem(cron) and not zone_problem(kept.timezone):
            yield f"{next_start(cron, kept.timezone, now):%Y-%m-%d %H:%M} {kept.timezone}  {flow}"
