"""A version that was just deployed is watched by its endpoint's counts: real endpoints, real requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from model.faults import STEPS
from release.bake.plan import plan
from release.bake.record import bake_file, read_bake
from release.bake.watch import bake
from release.home import Home
from release.journal import Journal
from release.moves.reconcile import reconcile, resume_deployment
from release.moves.rollback import roll_back
from release.releases import open_releases
from release.status import read_status
from serving.client import ask
from serving.process import control as process
from serving.spec import BakeSpec
from tests.support.bakes import BAKED, FAILS, TEXTS, Baked, asking
from tests.support.toy_bundle import NAME, work_of
from tests.support.toy_release import World, check


@pytest.fixture
def shop(home: Home, tmp_path: Path) -> Iterator[Baked]:
    """Version 1 serves."""
    world = World(tmp_path)
    assert world.home == home
    baked = Baked(world)
    assert baked.ship(baked.candidate()).deployed
    assert not bake_file(home, NAME).exists(), "there is nothing to go back to"
    yield baked
    world.stop()


def serving(shop: Baked) -> int | None:
    return open_releases(shop.world.home, NAME, shop.world.spec).serving()


def until_begun(shop: Baked) -> None:
    """Wait until the version is watched: what was asked before is not counted."""
    deadline = time.monotonic() + 30
    while (kept := read_bake(shop.world.home, NAME)) is None or not kept.began:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def last(shop: Baked) -> tuple[str, int | None, str]:
    entry = Journal(shop.world.home.journal / f"{NAME}.jsonl").entries()[-1]
    return entry.event, entry.version, entry.detail


def test_a_sound_version_stays_and_it_is_said_what_was_seen(shop: Baked) -> None:
    # A toy answers in a millisecond: what else runs makes that several, for one version and not the other.
    shop.spec = replace(BAKED, bake=BakeSpec(minutes=0.05, min_requests=60, max_p95_ratio=50))
    with asking(shop.world.state_file) as before:
        while before.statuses[200] < 400:
            time.sleep(0.05)
    assert shop.ship(shop.candidate()).deployed
    with asking(shop.world.state_file):
        outcome = shop.bake()
    assert outcome is not None and outcome.end == "passed", outcome
    assert outcome.why.startswith("watched for 3 s: ")
    assert outcome.why.endswith(" requests, 0 failed; failures, time and labels within their bounds")
    assert serving(shop) == 2 and last(shop) == ("watched", 2, outcome.why)
    assert not bake_file(shop.world.home, NAME).exists() and shop.bake() is None
    assert check(shop.world) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_version_that_fails_is_taken_back(workers: int, shop: Baked) -> None:
    shop.spec = replace(BAKED, workers=workers)
    assert shop.ship(shop.candidate(breaks=True)).deployed
    with asking(shop.world.state_file, (*TEXTS, FAILS)):
        outcome = shop.bake()
    assert outcome is not None and outcome.end == "taken back", outcome
    assert "requests failed" in outcome.why and "max_error_share is 1.0%" in outcome.why
    assert outcome.done is not None and outcome.done.serving == 1
    assert ask(shop.url, "rain")["version"] == 1
    entries = Journal(shop.world.home.journal / f"{NAME}.jsonl").entries()
    moved = next(entry for entry in entries if entry.event == "rolled back")
    assert moved.detail == f"from version 2: taken back while it was watched: {outcome.why}"
    assert check(shop.world) == 1


def test_a_version_that_is_slower_than_the_former_is_taken_back(shop: Baked) -> None:
    with asking(shop.world.state_file) as before:
        while before.statuses[200] < 400:
            time.sleep(0.05)
    shop.spec = replace(BAKED, bake=BakeSpec(minutes=0.5, min_requests=20))
    assert shop.ship(shop.candidate(text_work=work_of(110))).deployed
    with asking(shop.world.state_file):
        outcome = shop.bake()
    assert outcome is not None and outcome.end == "taken back", outcome
    assert "of its answers took longer than" in outcome.why and serving(shop) == 1


def test_a_version_whose_labels_are_not_those_of_its_test_rows_is_taken_back(shop: Baked) -> None:
    assert shop.ship(shop.candidate(answered={"low": 0.98, "mid": 0.01, "high": 0.01})).deployed
    with asking(shop.world.state_file):
        outcome = shop.bake()
    assert outcome is not None and outcome.end == "taken back", outcome
    assert "head mood: label " in outcome.why and "max_label_shift is 10%" in outcome.why
    assert serving(shop) == 1


def test_too_little_traffic_is_no_verdict(shop: Baked) -> None:
    assert shop.ship(shop.candidate(answered={"low": 0.98, "mid": 0.01, "high": 0.01})).deployed

    def ask_seven_times() -> None:
        until_begun(shop)
        for number in range(7):
            ask(shop.url, TEXTS[number])

    thread = threading.Thread(target=ask_seven_times)
    thread.start()
    outcome = shop.bake()
    thread.join(30)
    assert outcome is not None and outcome.end == "too little", outcome
    assert outcome.why == "too little traffic to tell: 7 of 60; watched for 3 s"
    assert serving(shop) == 2


def test_an_endpoint_that_is_started_again_is_watched_on_and_nobody_is_blamed(shop: Baked) -> None:
    """Its counts begin anew, and while it is away nothing is known."""
    shop.spec = replace(BAKED, bake=BakeSpec(minutes=0.1, min_requests=60))
    assert shop.ship(shop.candidate()).deployed
    counted = []

    def interrupt() -> None:
        until_begun(shop)
        time.sleep(1)
        counted.append(True)
        shop.world.stop()
        time.sleep(1.5)
        releases = open_releases(shop.world.home, NAME, shop.world.spec)
        log = shop.world.root / "again.log"
        process.start(releases.folder.path, releases.public_key, shop.spec, shop.world.state_file, log)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with asking(shop.world.state_file) as met:
        outcome = shop.bake()
    thread.join(30)
    assert counted == [True] and outcome is not None and outcome.end == "passed", outcome
    assert "of it the endpoint could not be asked" in outcome.why and met.statuses[0] > 0
    assert serving(shop) == 2


def test_an_endpoint_that_is_away_all_the_time_says_nothing(shop: Baked) -> None:
    assert shop.ship(shop.candidate(breaks=True)).deployed
    shop.world.stop()
    outcome = shop.bake()
    assert outcome is not None and outcome.end == "left", outcome
    assert "it is not known how it does" in outcome.why and serving(shop) == 2


def test_a_busy_endpoint_is_no_failing_version(shop: Baked) -> None:
    shop.spec = replace(BAKED, queue_limit=1, max_batch=1)
    assert shop.ship(shop.candidate(text_work=150)).deployed
    with asking(shop.world.state_file, clients=12) as met:
        outcome = shop.bake()
    assert met.statuses[503] > 20, met
    assert outcome is not None and outcome.end in ("passed", "too little"), outcome
    assert serving(shop) == 2


def test_whoever_moves_meanwhile_ends_the_watch_and_status_shows_it(shop: Baked) -> None:
    assert shop.ship(shop.candidate()).deployed
    seen = []

    def by_hand() -> None:
        until_begun(shop)
        seen.append(read_status(shop.world.home.root, NAME)["projects"][0]["watch"])
        roll_back(shop.world.home, NAME, reason="I know better")

    thread = threading.Thread(target=by_hand)
    thread.start()
    outcome = shop.bake()
    thread.join(30)
    assert outcome is not None and outcome.end == "left", outcome
    assert "only: version 1 was made to serve meanwhile" in outcome.why
    assert seen[0].startswith("version 2 is watched until ")
    assert seen[0].endswith("version 1 is there to go back to")
    assert read_status(shop.world.home.root, NAME)["projects"][0]["watch"] is None


@pytest.mark.parametrize("point", STEPS["bake"])
def test_a_watch_that_is_killed_is_taken_up_by_the_next_start(
    point: str, shop: Baked, child: Callable[..., int]
) -> None:
    home, made = shop.world.home, shop.candidate(breaks=True)
    with asking(shop.world.state_file, (*TEXTS, FAILS)):

        def work() -> None:
            shop.ship(made)
            shop.bake()

        assert child(work, f"{point}:kill") != 0
        # The configuration has changed meanwhile; what was kept holds.
        reconcile(home, NAME, shop.world.spec)
        resume_deployment(home, NAME, shop.world.spec, replace(shop.spec, bake=None))
        outcome = shop.bake()
    if point == "bake_planned":
        assert outcome is None and serving(shop) == 1  # it was killed before anything was promoted
    else:
        assert outcome is not None and outcome.end == "taken back", outcome
    assert check(shop.world) == 1 and not bake_file(home, NAME).exists()


def test_a_watch_whose_time_is_over_is_judged_by_what_was_counted_meanwhile(shop: Baked) -> None:
    assert shop.ship(shop.candidate(breaks=True)).deployed
    done = threading.Thread(target=lambda: shop.bake())
    file = bake_file(shop.world.home, NAME)
    kept = file.read_bytes()
    done.start()
    until_begun(shop)
    begun = file.read_bytes()
    done.join(20)
    assert not file.exists() and kept != begun
    file.write_bytes(begun)  # as a process leaves it that is killed after half a second
    with asking(shop.world.state_file, (*TEXTS, FAILS), most=60):
        time.sleep(1.5)
    outcome = shop.bake()
    assert outcome is not None and outcome.end == "taken back" and serving(shop) == 1


def test_a_damaged_record_ends_the_watch_and_not_the_run(shop: Baked) -> None:
    assert shop.ship(shop.candidate()).deployed
    bake_file(shop.world.home, NAME).write_text("{")
    (damage,) = read_status(shop.world.home.root, NAME)["projects"][0]["damage"]
    assert "not the record of a watch" in damage and "removes it" in damage
    assert shop.bake() is None and read_status(shop.world.home.root, NAME)["projects"][0]["damage"] == []


def test_what_is_not_to_be_watched_is_not(shop: Baked) -> None:
    home = shop.world.home
    plan(home, NAME, replace(BAKED, bake=None), 2)
    assert not bake_file(home, NAME).exists()
    plan(home, NAME, BAKED, 2)
    assert bake(home, NAME, begun_only=True) is None and bake_file(home, NAME).exists()
    plan(home, NAME, BAKED, 1)  # it serves already
    kept = read_bake(home, NAME)
    assert kept is not None and (kept.version, kept.former) == (2, 1)
