"""How a judged candidate ends: its stage, its page and its reasons say the same."""

from __future__ import annotations

import pytest

from expectations.verdict import Finding, Outcome, Verdict
from flows.parts.conclude import NO_REASON, ending_of, release_of
from release.registry.register import RegisteredVersion
from release.targets.deploy import DeployEnd, DeployOutcome

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


def test_what_could_not_be_decided_is_told_from_what_failed() -> None:
    release = release_of(REGISTERED, None, None)
    assert ending_of("shop", verdict("inconclusive"), release)["undecided"] is True
    assert ending_of("shop", verdict("fail"), release)["undecided"] is False
