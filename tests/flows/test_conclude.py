"""How a judged candidate ends: its stage, its page and its reasons say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from expectations.verdict import Finding, Outcome, Verdict
from flows.parts.conclude import (
    NO_REASON,
    NO_WAY_BACK,
    Watched,
    being_watched,
    ending_of,
    release_of,
    watched_through,
)
from release.bake.watch import BakeEnd, BakeOutcome
from release.home import Home
from release.registry.register import RegisteredVersion
from release.saved_settings import Settings
from release.targets.deploy import DeployEnd, DeployOutcome
from serving.spec import BakeSpec, DeploySpec

REGISTERED = RegisteredVersion(
    name="kitchen", version=3, run_id="r", bundle_sha256="b", tracking_uri="sqlite:///s"
)


def verdict(outcome: Outcome) -> Verdict:
    return Verdict(gate="release", findings=(Finding(subject="topic", outcome=outcome, reason="so"),))


def test_a_version_that_serves() -> None:
    done = DeployOutcome(end="deployed", wanted=3, serving=3, url="http://here")
    release = release_of(REGISTERED, done, None)
    assert (release.deployed, release.undone) == ({"version": 3, "url": "http://here"}, "")
    assert ending_of("shop", verdict("pass"), release)["stage"] == "deployed"


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_a_version_that_did_not_pass(outcome: Outcome) -> None:
    release = release_of(REGISTERED, None, None)
    ending = ending_of("shop", verdict(outcome), release)
    assert (release.deployed, release.undone) == ({}, "")
    assert (ending["stage"], ending["reasons"]) == ("model_rejected", ("so",))
    assert ending["registered"]["version"] == 3


@pytest.mark.parametrize("reason", ["it answered 503", ""])
def test_a_deployment_that_was_taken_back_is_never_called_deployed(reason: str) -> None:
    done = DeployOutcome(end="undone", wanted=3, serving=2, url="http://here", reason=reason)
    release = release_of(REGISTERED, done, None)
    ending = ending_of("shop", verdict("pass"), release)
    assert release.deployed == {}
    assert (ending["stage"], ending["reasons"]) == ("deployment_undone", (reason or NO_REASON,))


@pytest.mark.parametrize(("end", "stage"), [("held", "held"), ("unconfirmed", "unconfirmed")])
def test_a_version_that_passed_and_is_not_known_to_serve_is_never_called_deployed(
    end: DeployEnd, stage: str
) -> None:
    done = DeployOutcome(end=end, wanted=3, serving=2, url=None, reason="so it is")
    release = release_of(REGISTERED, done, None)
    ending = ending_of("shop", verdict("pass"), release)
    assert (release.deployed, release.undone) == ({}, "")
    assert (ending["stage"], ending["reasons"]) == (stage, ("so it is",))


DEPLOYED = DeployOutcome(end="deployed", wanted=3, serving=3, url="http://here")
WENT_BACK = DeployOutcome(end="deployed", wanted=2, serving=2, url="http://here")


@pytest.mark.parametrize(
    ("end", "done", "stage", "serves"),
    [
        ("passed", None, "deployed", 3),
        ("too little", None, "deployed", 3),
        ("left", None, "deployed", 3),
        ("taken back", WENT_BACK, "taken_back", 2),
        ("stuck", None, "unconfirmed", None),
    ],
)
def test_how_a_watch_ended_is_how_the_run_ends(
    end: BakeEnd, done: DeployOutcome | None, stage: str, serves: int | None
) -> None:
    outcome = BakeOutcome(end=end, version=3, why="so many requests", done=done)
    release = release_of(REGISTERED, DEPLOYED, None, Watched(said=outcome.why, outcome=outcome))
    ending = ending_of("shop", verdict("pass"), release)
    assert ending["stage"] == stage and ending["deployed"].get("version") == serves
    assert "so many requests" in ending["reasons"][0]


def test_a_first_version_is_not_watched_and_it_is_said(tmp_path: Path) -> None:
    settings = Settings(deploy=DeploySpec(bake=BakeSpec()))
    begun = being_watched(Home(tmp_path), "kitchen", settings, DEPLOYED)
    assert watched_through(Home(tmp_path), "kitchen", begun) is begun
    ending = ending_of("shop", verdict("pass"), release_of(REGISTERED, DEPLOYED, None, begun))
    assert (ending["stage"], ending["reasons"]) == ("deployed", (NO_WAY_BACK,))
    assert being_watched(Home(tmp_path), "kitchen", Settings(), DEPLOYED) is None


def test_what_could_not_be_decided_is_told_from_what_failed() -> None:
    release = release_of(REGISTERED, None, None)
    assert ending_of("shop", verdict("inconclusive"), release)["undecided"] is True
    assert ending_of("shop", verdict("fail"), release)["undecided"] is False
