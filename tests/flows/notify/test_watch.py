"""What nobody runs to notice: runs that stopped, an override that ends soon, an endpoint that refuses."""

from __future__ import annotations

import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from expectations.verdict import Finding, Verdict
from flows.cli.following import run_follower
from flows.notify.ending import told_drift, told_rollback
from flows.notify.periods import longest_pause
from flows.notify.record import Record, record_file
from flows.notify.watch import due, overdue, watch_once
from model.files import write_json
from release.home import Home
from release.moves.promote_by_hand import promote_by_hand
from release.registry.register import register_version
from release.targets.deploy import DeployOutcome
from release.targets.follower import FollowJob
from report.quality.pages import Quality
from serving.process import control
from tests.release.test_crashes import SPEC, Make, ship
from tests.support.projects import candidate, home, store, write_bundle
from tests.support.told import by_http
from tests.support.toy_release import NAME, World, promoted
from tests.support.toy_release import ship as deploy_ship

__all__ = ["candidate", "home", "store", "write_bundle"]

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S


@pytest.mark.parametrize(
    ("cron", "zone", "pause_s"),
    [
        ("0 3 * * 1", "UTC", WEEK_S),
        ("*/5 * * * *", "UTC", 300),
        ("0 3 * * 1-5", "UTC", 3 * DAY_S),
        ("0 3 1 1 *", "UTC", 366 * DAY_S),
        ("30 12 * * *", "Europe/Berlin", 25 * 3600),  # the night with one hour more
        ("not a cron", "UTC", None),
        ("0 3 * * 1", "Mars/Base", None),
    ],
)
def test_the_longest_pause_of_a_schedule(cron: str, zone: str, pause_s: float | None) -> None:
    begin = datetime(2026, 3, 1, tzinfo=ZoneInfo("UTC"))
    assert longest_pause(cron, zone, begin) == pause_s


def test_a_flow_is_late_after_one_and_a_half_pauses() -> None:
    record = Record(since=1000.0, periods={"retrain": WEEK_S}, ended={"retrain": 2000.0})
    assert overdue("retrain", WEEK_S, record, 2000.0 + 1.5 * WEEK_S) is None
    assert overdue("retrain", WEEK_S, record, 2001.0 + 1.5 * WEEK_S) == 2000.0
    assert overdue("validate", DAY_S, record, 1001.0 + 1.5 * DAY_S) == 1000.0, "it has never run"


def test_a_run_that_is_missing_is_told_once_until_one_ends(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = {
        "targets": [{"on": ["not_run"], "url_env": "HOOK"}],
        "periods": {"retrain": WEEK_S},
        "since": 1e9,
    }
    with by_http() as somebody:
        monkeypatch.setenv("HOOK", somebody.url)
        write_json(record_file(home, "toy"), record)
        for hour in range(3):
            watch_once(home, "toy", 1e9 + 2 * WEEK_S + hour * 3600)
        assert somebody.titles(1) == ["headgate toy: NOT RUN"]
        assert (
            "retrain: no run has ended for 14 days, expected every 7 days" in somebody.messages[0]["message"]
        )
        write_json(record_file(home, "toy"), {**record, "ended": {"retrain": 1e9 + 3 * WEEK_S}})
        watch_once(home, "toy", 1e9 + 4 * WEEK_S)
        assert len(somebody.messages) == 1
        watch_once(home, "toy", 1e9 + 5 * WEEK_S)
        assert len(somebody.heard(2)) == 2


def test_without_anybody_to_tell_nothing_is_looked_at(home: Home) -> None:
    watch_once(home, "toy")
    assert not record_file(home, "toy").exists()


def test_an_override_that_ends_within_a_day(home: Home, candidate: Make) -> None:
    ship(home, candidate(1))
    register_version(home, "toy", SPEC, candidate(2, "fail"))
    assert due(home, "toy") == []
    promote_by_hand(home, "toy", 2, reason="launch", expires="12h")
    try:
        (notice,) = due(home, "toy")
        assert (notice.event, notice.version) == ("override_expiring", 2)
        assert "ends in 12 hours" in notice.why
    finally:
        control.stop(home.endpoints / "toy.json", wait_s=5)


def test_an_endpoint_that_refuses_what_it_should_serve(home: Home) -> None:
    world = World(home.root.parent)
    assert deploy_ship(world, world.candidate()).deployed
    assert due(home, NAME) == []
    second = promoted(world, world.spoilt())
    until = time.monotonic() + 60
    while not (found := due(home, NAME)) and time.monotonic() < until:
        time.sleep(0.1)
    assert [(one.event, one.version) for one in found] == [("endpoint_refused", second)]
    assert "serves version 1" in found[0].why and due(home, NAME)[0].once == found[0].once


def test_the_follower_notices(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    record = {
        "targets": [{"on": ["not_run"], "url_env": "HOOK"}],
        "periods": {"validate": DAY_S},
        "since": 1e9,
    }
    write_json(record_file(home, NAME), record)
    with by_http() as somebody:
        monkeypatch.setenv("HOOK", somebody.url)
        run_follower(FollowJob(home=home, name=NAME, registry=SPEC), once=True)
        assert somebody.titles(1) == [f"headgate {NAME}: NOT RUN"]
    (home.notices / f"{NAME}.json").write_text("{")
    run_follower(FollowJob(home=home, name=NAME, registry=SPEC), once=True)


def test_a_rollback_by_hand_and_drift_are_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with by_http() as somebody:
        monkeypatch.setenv("HOOK", somebody.url)
        write_json(
            record_file(home, NAME), {"targets": [{"on": ["rolled_back", "drifted"], "url_env": "HOOK"}]}
        )
        told_rollback(home, NAME, DeployOutcome(end="deployed", wanted=3, serving=3, url=None))
        passed = Verdict(gate="data", findings=(Finding(subject="x", outcome="pass", reason="", figures={}),))
        quality = Quality(
            verdict=passed,
            warnings=(),
            pages={"Data quality": "/r/data.html"},
            findings="",
            drifted=("labels of topic",),
            looked_at=1,
        )
        somebody.heard(1)
        told_drift(home, NAME, home.root / "p.yaml", quality)
        back, drift = somebody.heard(2)
    assert back["title"] == f"headgate {NAME}: rolled back, version 3"
    assert drift["message"].splitlines() == [
        "drift beyond the fail level: labels of topic",
        "look: /r/data.html",
        f"run: headgate retrain {home.root / 'p.yaml'}",
    ]
