"""The section `schedule` of a configuration: what is refused, each problem with its field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.config.load import load_project
from flows.config.messages import ConfigError
from flows.schedule.drift import Told, held_back
from tests.support.scheduled_project import scheduled_config

NOW = datetime(2027, 5, 4, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({"cron": "0 3 * *"}, 'schedule.cron: saw "0 3 * *": 4 fields, expected five'),
        ({"cron": "0 25 * * *"}, 'schedule.cron: saw "0 25 * * *": bad hour'),
        ({"timezone": "Berlin"}, 'schedule.timezone: saw "Berlin", expected a name of the IANA data base'),
        ({"cooldown": "a day"}, 'schedule.cooldown: saw "a day", expected a number and m, h or d'),
        ({"cooldown": "0h"}, 'schedule.cooldown: saw "0h"'),
        (
            {"cron": "0 3 * * *", "validate_cron": "0 3 * * 1-5"},
            'schedule.validate_cron: "0 3 * * 1-5" starts in the same minute as schedule.cron "0 3 * * *" (',
        ),
        ({"cron": 3}, "schedule.cron: line 6, column 9: YAML reads 3 as the number 3"),
    ],
)
def test_a_schedule_that_cannot_be_used_is_refused(
    schedule: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        load_project(scheduled_config(tmp_path, **schedule))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "schedule",
    [
        {},
        {"cron": "0 3 * * *"},
        {"cron": None},
        {"cron": None, "validate_cron": "* * * * *"},
        {"cron": "*/5 * * * *", "validate_cron": "2-59/5 * * * *", "timezone": "Europe/Berlin"},
    ],
)
def test_a_schedule_that_can_be_used_is_taken(schedule: dict[str, object], tmp_path: Path) -> None:
    taken = load_project(scheduled_config(tmp_path, **schedule)).schedule
    assert {field: getattr(taken, field) for field in schedule} == schedule


def told(hours_ago: float, fingerprint: str = "one") -> Told:
    return Told(fingerprint=fingerprint, at=(NOW - timedelta(hours=hours_ago)).isoformat())


@pytest.mark.parametrize(
    ("last", "held"),
    [
        (None, False),
        (told(1), True),
        (told(23.9), True),
        (told(24.1), False),
        (told(1000, "other"), True),  # the same data, however long ago
        (told(-5), False),  # a clock that was put back holds nothing back for ever
        (Told(fingerprint="one", at="yesterday"), False),
    ],
)
def test_drift_starts_one_retraining_in_the_cooldown_and_none_twice_for_the_same_data(
    last: Told | None, held: bool
) -> None:
    assert bool(held_back(last, "other", timedelta(hours=24), NOW)) == held
