"""What the campaigns claim follows from what they saw: which cases are chosen, what counts as consistent."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from model.faults import POINTS
from release.journal import Entry, Event
from tests.campaigns import kill_matrix, races
from tests.support.kill_cases import ENDS, Result
from tests.support.measures import all_met


def test_the_matrix_holds_every_point_with_every_end() -> None:
    cases = kill_matrix.chosen(POINTS, repeat=3, third=False, seed=0)
    assert len(cases) == len(set(cases)) == 9 * len(POINTS)
    assert {(point, kind) for point, kind, _ in cases} == {(p, k) for p in POINTS for k in ENDS}


def test_a_third_tries_every_point_and_is_the_same_for_a_seed() -> None:
    thirds = [kill_matrix.chosen(POINTS, repeat=3, third=True, seed=seed) for seed in (0, 0, 1)]
    assert thirds[0] == thirds[1] != thirds[2]
    assert [point for point, _, _ in thirds[0]] == list(POINTS)
    assert {kind for _, kind, _ in thirds[0]} == set(ENDS)


def test_one_flaw_or_one_unverified_reply_fails_the_campaign() -> None:
    good = Result("staged", "kill", (), answers=7)
    for results, met in (
        ([good], True),
        ([good, dataclasses.replace(good, flaws=("the rerun failed",))], False),
        ([good, dataclasses.replace(good, unverified=1)], False),
        ([], False),
    ):
        assert all_met(kill_matrix.measures_of(results)) is met
    shown = kill_matrix.table([good, Result("staged", "term", ("flaw",), answers=2, unverified=1)])
    assert shown.splitlines()[2].split() == ["staged", "1/1", "0/1", "9", "1"]


ROOT = Path(__file__).resolve().parents[2]


def entry(event: Event, version: int, operation: str = "", former: int | None = None) -> Entry:
    return Entry(event=event, version=version, operation=operation, former=former)


STORY = [
    entry("registered", 1),
    entry("promotion begun", 1, "a"),
    entry("promoted", 1, "a"),
    entry("registered", 2),
    entry("promotion begun", 2, "b", 1),
    entry("promoted", 2, "b", 1),
    entry("promotion refused", 1),
]


def test_a_journal_in_which_operations_follow_each_other_is_consistent() -> None:
    assert races.consistent(STORY, [1, 2])


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(STORY[:2], id="begun and never ended"),
        pytest.param([STORY[1], STORY[4], STORY[2], STORY[5]], id="two at the same time"),
        pytest.param([STORY[2], STORY[5]], id="ended and never begun"),
        pytest.param(
            [*STORY[:4], entry("promotion begun", 2, "b"), entry("promoted", 2, "b")],
            id="forgot the former one",
        ),
    ],
)
def test_any_other_story_is_not(story: list[Entry]) -> None:
    promoted = [one.version for one in story if one.event == "promoted"]
    assert not races.consistent(story, promoted)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_piece_of_the_matrix_converges(tmp_path: Path) -> None:
    points = ["pointer_written", "refusal_journalled", "bundle_made", "version_fetched"]
    command = [sys.executable, "-m", "tests.campaigns.kill_matrix", "--third", "--folder", str(tmp_path)]
    done = subprocess.run([*command, "--points", *points], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    figures = {m["name"]: m["value"] for m in json.loads(done.stdout.splitlines()[-1])["measures"]}
    assert figures["unverified served"] == 0 and figures["of them converged"] == 4
