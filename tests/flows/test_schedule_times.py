"""When a schedule starts something: as Prefect counts, also where the clock is put forward and back."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from flows.schedule.times import LATER, cron_problem, first_meeting, next_start, starts, zone_problem

BERLIN = "Europe/Berlin"
SPRING = datetime(2027, 3, 27, 12, tzinfo=UTC)
"""The day before the clock in Berlin skips 02:00–03:00."""
AUTUMN = datetime(2027, 10, 30, 12, tzinfo=UTC)
"""The day before 02:00–03:00 comes twice there."""


def first(cron: str, timezone: str, after: datetime, count: int) -> list[str]:
    found = itertools.islice(starts(cron, timezone, after), count)
    return [f"{start:%d %H:%M}" for start in found]


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 3 * * *", SPRING, ["28 01:00", "29 01:00"]),
        ("30 2 * * *", SPRING, [f"28 {'01' if LATER else '00'}:30", "29 00:30"]),  # 02:30 is skipped
        ("0 3 * * *", AUTUMN, ["31 02:00", "01 02:00"]),
        ("30 2 * * *", AUTUMN, ["31 00:30", "01 01:30"]),  # the first of the two
        ("0 */2 * * *", SPRING, ["27 13:00", "27 15:00"]),
    ],
)
def test_a_time_of_the_wall_clock_is_kept_in_spring_and_autumn(
    cron: str, after: datetime, expected: list[str]
) -> None:
    assert first(cron, BERLIN, after, 2) == expected


@pytest.mark.parametrize(
    "timezone", [BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]
)
@pytest.mark.parametrize(
    "cron",
    [
        "0 3 * * 1",
        "0 1 * * *",
        "30 2 * * *",
        "*/20 1-3 * * *",
        "15,45 */3 * * *",
        "5 4 1,15 * *",
        "0 2 * * 7",
        "0 2 * * SUN",
        "0 12 * * mon-fri",
        "10 0 31 * *",
        "0 3 28-31 MAR,OCT,NOV *",
    ],
)
def test_the_same_starts_as_prefects(cron: str, timezone: str) -> None:
    from prefect.server.schemas.schedules import CronSchedule

    for after in (SPRING, AUTUMN, datetime(2027, 4, 2, 15, 45, tzinfo=UTC)):
        end = after + timedelta(days=20)
        ours = list(itertools.takewhile(end.__ge__, starts(cron, timezone, after)))
        dates = CronSchedule(cron=cron, timezone=timezone).get_dates(
            n=1000, start=after + timedelta(seconds=1), end=end
        )
        theirs = sorted({date.astimezone(UTC) for date in asyncio.run(dates)})
        assert ours == theirs


def test_the_next_start_is_shown_in_the_zone_of_the_schedule() -> None:
    found = next_start("0 3 * * 1", BERLIN, AUTUMN)
    assert found.isoformat() == "2027-11-01T03:00:00+01:00"


@pytest.mark.parametrize(
    ("one", "other", "met"),
    [
        ("0 3 * * 1", "0 3 * * *", "2027-11-01 03:00"),
        ("0 3 * * 1", "0 1 * * *", None),
        ("0 3 * * *", "0 3 1 2 *", "2028-02-01 03:00"),
        ("*/5 * * * *", "2-59/5 * * * *", None),
        ("30 3 * * *", "30 2 * * *", "2028-03-26 03:30"),  # only where the clock skips 02:30, and it comes
        ("30 1 * * *", "30 2 * * *", "2028-03-26 01:30"),  # later or earlier
        ("0 3 29 2 *", "0 3 * * *", "2028-02-29 03:00"),
    ],
)
def test_two_schedules_that_meet_within_a_year_are_found(one: str, other: str, met: str | None) -> None:
    found = first_meeting(one, other, BERLIN, AUTUMN)
    assert (None if found is None else f"{found:%Y-%m-%d %H:%M}") == met
    assert first_meeting(other, one, BERLIN, AUTUMN) == found


@pytest.mark.parametrize(
    "cron", ["0 3 * *", "0 0 3 * * 1", "@daily", "0 3 * * MO", "61 3 * * *", "0 3 L * *", "0 3 1 * 1", ""]
)
def test_what_is_no_cron_expression_is_said(cron: str) -> None:
    assert cron_problem(cron)


def test_what_is_one_is_taken() -> None:
    assert not any(map(cron_problem, ["0 3 * * 1", "*/5 * * * *", "0 3 1-7 jan,JUL *", "5/15 * * * *"]))
    assert not zone_problem(BERLIN) and all(map(zone_problem, ["Berlin", "../etc", "", "/etc/passwd"]))
