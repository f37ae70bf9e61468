"""What can be wrong with the section `schedule`, one line a problem."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flows.config.messages import seen
from flows.schedule.times import cron_problem, first_meeting, zone_problem

if TYPE_CHECKING:
    from flows.config.schema import ScheduleSpec

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
LONGEST = timedelta(days=366)
"""Longest cooldown."""


def schedule_problems(spec: ScheduleSpec) -> Iterator[str]:
    """What keeps a schedule from being used."""
    crons = {"cron": spec.cron, "validate_cron": spec.validate_cron}
    given = {field: cron for field, cron in crons.items() if cron is not None}
    wrong = [
        f"{field}: saw {seen(cron)}: {problem}"
        for field, cron in given.items()
        if (problem := cron_problem(cron))
    ]
    if problem := zone_problem(spec.timezone):
        wrong.append(f"timezone: saw {seen(spec.timezone)}, {problem}")
    span = cooldown_span(spec.cooldown)
    if span is None or span > LONGEST:
        yield f"cooldown: saw {seen(spec.cooldown)}, expected a number and m, h or d (at most 366d): 24h"
    yield from wrong
    if wrong or len(given) < 2:
        return
    now = datetime.now(UTC)
    met = first_meeting(given["cron"], given["validate_cron"], spec.timezone, now)
    if met is not None:
        yield (
            f"validate_cron: {seen(given['validate_cron'])} starts in the same minute as schedule.cron "
            f"{seen(given['cron'])} ({met:%Y-%m-%d %H:%M} {spec.timezone}); a retraining judges the data "
            "itself: move one of them, or give `null`"
        )


def cooldown_span(text: str) -> timedelta | None:
    """`90m`, `24h` or `7d` as a time span; None where it is none of these, or nothing."""
    found = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    span = timedelta(0) if found is None else int(found[1]) * _UNITS[found[2]]
    return span or None
