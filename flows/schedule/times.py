"""When a cron expression starts something.

Counted as Prefect counts: an expression names times of the clock on the wall, and one that comes twice in
autumn counts the first time. A time that the clock skips in spring comes an hour earlier with Python before
3.13, an hour later from then on: Prefect has another library for it there. Does not know Prefect or the
configuration.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from cronsim.cronsim import SYMBOLIC_DAYS, SYMBOLIC_MONTHS

YEAR = timedelta(days=366)
"""How far ahead two expressions are compared."""
HOUR = timedelta(hours=1)
NAMES = frozenset((*SYMBOLIC_DAYS, *SYMBOLIC_MONTHS))
"""The only words of an expression: programs disagree about all others."""
LATER = sys.version_info >= (3, 13)
"""Whether a time that the clock skips comes later; else earlier."""
SOME_DAY = datetime(2024, 1, 1)  # naive on purpose: a time of the clock on the wall


def cron_problem(cron: str) -> str:
    """Why an expression can't be used; empty where it can."""
    fields = cron.split()
    if len(fields) != 5:
        return f"{len(fields)} fields, expected five: minute, hour, day of month, month, weekday"
    words = set(re.findall(r"[^0-9*,/-]+", cron.upper().replace(" ", "")))
    if unknown := words - NAMES:
        return f"{sorted(unknown)[0]!r}, expected numbers, `*`, `,`, `-`, `/`, MON to SUN and JAN to DEC"
    if fields[2] != "*" and fields[4] != "*":
        return (
            "a day of the month and a weekday, which some programs read as `and` and others as `or`; give "
            "one of them, `*` for the other"
        )
    try:
        next(CronSim(cron, SOME_DAY), None)
    except CronSimError as error:
        return str(error)[:1].lower() + str(error)[1:]
    return ""


def zone_problem(timezone: str) -> str:
    """Why a time zone can't be used; empty where it can."""
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "expected a name of the IANA data base, such as Europe/Berlin"
    return ""


def starts(cron: str, timezone: str, after: datetime, *, later: bool = LATER) -> Iterator[datetime]:
    """Every start later than `after`, in order, in UTC.

    Args:
        cron: five fields that have no `cron_problem`.
        timezone: IANA name.
        after: with a time zone.
        later: whether a time that the clock skips comes later.
    """
    zone, last = ZoneInfo(timezone), after.astimezone(UTC)
    # From the day before on: the clock on the wall may have been put back or forward meanwhile.
    wall = CronSim(cron, after.astimezone(zone).replace(tzinfo=None) - timedelta(days=1))
    for _, times in itertools.groupby(wall, key=datetime.date):
        # A day at a time: what the clock skips can come behind what follows it on the wall.
        for start in sorted({_instant(time, zone, later) for time in times}):
            if start > last:
                last = start
                yield start


def next_start(cron: str, timezone: str, after: datetime) -> datetime:
    """The first start later than `after`, in the time zone of the schedule."""
    return next(starts(cron, timezone, after)).astimezone(ZoneInfo(timezone))


def first_meeting(one: str, other: str, timezone: str, after: datetime) -> datetime | None:
    """The first minute within a year in which both expressions start something; None where there is none."""
    if _never_in_one_minute(one, other, timezone, after):
        return None
    met = [_meeting(one, other, timezone, after, later) for later in (LATER, not LATER)]
    return min((start.astimezone(ZoneInfo(timezone)) for start in met if start is not None), default=None)


def _meeting(one: str, other: str, timezone: str, after: datetime, later: bool) -> datetime | None:
    end = after + YEAR
    left = starts(one, timezone, after, later=later)
    right = starts(other, timezone, after, later=later)
    first, second = next(left), next(right)
    while first <= end and second <= end:
        if first == second:
            return first
        if first < second:
            first = next(left)
        else:
            second = next(right)
    return None


def _instant(wall: datetime, zone: ZoneInfo, later: bool) -> datetime:
    found = wall.replace(tzinfo=zone).astimezone(UTC)
    if later or found.astimezone(zone).replace(tzinfo=None) == wall:
        return found
    return wall.replace(tzinfo=zone, fold=1).astimezone(UTC)  # skipped: as if the clock had been put already


def _never_in_one_minute(one: str, other: str, timezone: str, after: datetime) -> bool:
    """Whether their minutes of the hour differ, in a zone whose clock is moved by whole hours: found at once,
    also for expressions with a start every few minutes."""
    if CronSim(one, SOME_DAY).minutes & CronSim(other, SOME_DAY).minutes:
        return False
    zone = ZoneInfo(timezone)
    days = ((after + timedelta(days=number)).astimezone(zone) for number in range(YEAR.days + 1))
    # Offsets of one zone from one another, in parts of an hour.
    return len({(day.utcoffset() or timedelta(0)) % HOUR for day in days}) == 1
