"""How long a schedule leaves nothing to run, at most. Knows cron expressions; does not know flows."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LOOKED_AT = 400
"""Firings that are looked at, or as many as there are in `SPAN`."""
LEAST = 3
"""Firings that are looked at, however rare they are."""
SPAN = timedelta(days=400)


def longest_pause(cron: str, timezone: str, now: datetime | None = None) -> float | None:
    """The longest pause between two firings, in seconds: of `0 3 * * 1-5` it is that over the weekend. None
    where the expression or the time zone is none.

    Args:
        now: from when on; by default from now.
    """
    from cronsim import CronSim, CronSimError

    try:
        begin = (now or datetime.now().astimezone()).astimezone(ZoneInfo(timezone))
        firings = []
        for number, at in enumerate(CronSim(cron, begin)):
            if number >= LEAST and (number >= LOOKED_AT or at - begin > SPAN):
                break
            firings.append(at)
    except (CronSimError, ZoneInfoNotFoundError, ValueError, StopIteration):
        return None
    # By the clock of the world, so that a night with another hour counts as long as it lasts.
    pauses = [(later.timestamp() - sooner.timestamp()) for sooner, later in pairwise(firings)]
    return max(pauses, default=None)
