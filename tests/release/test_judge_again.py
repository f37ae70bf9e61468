"""A second verdict takes the place of the first: signed, with the former one kept, through any crash."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace

import pytest

from expectations.verdict import Finding, Verdict
from model.faults import STEPS
from release.home import Home
from release.journal import Journal
from release.kept_evidence import EvidenceGone
from release.moves.judge_again import NotJudgedAgain, find_judgeable, record_verdict
from release.moves.promote_by_hand import promote_by_hand
from release.registry.candidate import Candidate
from release.registry.client import REASONS_TAG, VERDICT_TAG, RegistryProblem, open_registry
from release.registry.judgement import JUDGEMENT_PATH, NotJudged, read_judgement
from release.registry.register import RegisteredVersion, register_version
from release.releases import open_releases
from release.saved_settings import Settings, save_first_settings, save_settings
from release.spec import RegistrySpec
from serving.spec import DeploySpec

SPEC = RegistrySpec()
Make = Callable[..., Candidate]
Child = Callable[..., int]
PASSED = Verdict(
    gate="release", findings=(Finding(subject="latency", outcome="pass", reason="quick enough"),)
)


def passed(made: Candidate) -> Candidate:
    return replace(made, verdict=PASSED, run_name=f"{made.run_name}~again")


def outcome(home: Home, version: int) -> str:
    releases = open_releases(home, "toy", SPEC)
    return read_judgement(releases.registry, releases.public_key, version).verdict.outcome


def test_the_new_record_decides_and_the_former_one_stays(
    home: Home, candidate: Make, deploy_spec: DeploySpec
) -> None:
    save_settings(home, "toy", Settings(registry=SPEC, deploy=deploy_spec))
    made = candidate(1, "inconclusive")
    registered = register_version(home, "toy", SPEC, made)
    record_verdict(home, "toy", SPEC, registered, passed(made))
    registry = open_registry(home, "toy", SPEC)
    assert outcome(home, 1) == "pass"
    assert registry.version_tags(1)[VERDICT_TAG] == "pass"
    assert registry.version_tags(1)[REASONS_TAG] == ""
    there = {file.path for file in registry.client.list_artifacts(registered.run_id, JUDGEMENT_PATH)}
    assert f"{JUDGEMENT_PATH}/{made.run_name}.json" in there
    last = Journal(home.journal / "toy.jsonl").entries()[-1]
    assert (last.event, last.version, last.detail) == (
        "judged again",
        1,
        "verdict: pass, before: inconclusive",
    )
    assert promote_by_hand(home, "toy", 1).outcome.deployed
    with pytest.raises(NotJudgedAgain, match="passed its gates already"):
        record_verdict(home, "toy", SPEC, registered, made)


@pytest.mark.parametrize("point", STEPS["judge"])
def test_killed_while_the_verdict_is_replaced(
    point: str, home: Home, candidate: Make, child: Child, deploy_spec: DeploySpec
) -> None:
    """Before the record is signed the former verdict holds; after it the new one, whatever the tags say."""
    save_settings(home, "toy", Settings(registry=SPEC, deploy=deploy_spec))
    made = candidate(1, "inconclusive")

    def work() -> None:
        registered = register_version(home, "toy", SPEC, made)
        record_verdict(home, "toy", SPEC, registered, passed(made))

    assert child(work, fault=f"{point}:kill") == -signal.SIGKILL
    if point == "judgement_kept":
        assert outcome(home, 1) == "inconclusive"
        found = open_registry(home, "toy", SPEC)
        registered = RegisteredVersion(
            name="toy",
            version=1,
            run_id=found.run_of(1),
            bundle_sha256=made.bundle_sha256,
            tracking_uri=found.uri,
        )
        record_verdict(home, "toy", SPEC, registered, passed(made))
    else:
        with pytest.raises(NotJudgedAgain, match="headgate promote toy 1"):
            find_judgeable(home, "toy", SPEC, 1)
    assert outcome(home, 1) == "pass"
    assert promote_by_hand(home, "toy", 1).outcome.deployed


def test_what_cannot_be_judged_again_is_refused_with_the_reason(home: Home, candidate: Make) -> None:
    held, later = candidate(1, "inconclusive"), candidate(2)
    register_version(home, "toy", SPEC, held)
    with pytest.raises(EvidenceGone, match=r"can't be read .*headgate retrain"):
        find_judgeable(home, "toy", SPEC, 1)
    with pytest.raises(RegistryProblem):
        find_judgeable(home, "toy", SPEC, 9)

    from tests.release.test_crashes import ship

    ship(home, later)
    with pytest.raises(NotJudgedAgain, match="older than version 2, which was promoted since"):
        find_judgeable(home, "toy", SPEC, 1)
    with pytest.raises(NotJudgedAgain, match="passed its gates already"):
        find_judgeable(home, "toy", SPEC, 2)


def test_a_forged_record_is_not_judged_again(home: Home, candidate: Make) -> None:
    registered = register_version(home, "toy", SPEC, candidate(1, "inconclusive"))
    registry = open_registry(home, "toy", SPEC)
    registry.client.log_text(
        registered.run_id, '{"record": "{}", "signature": ""}', "judgement/judgement.json"
    )
    with pytest.raises(NotJudged, match="can't be believed"):
        find_judgeable(home, "toy", SPEC, 1)


def test_first_settings_never_replace_those_of_a_deployment(home: Home, deploy_spec: DeploySpec) -> None:
    from release.saved_settings import load_settings

    other = replace(deploy_spec, poll_s=1.0)
    save_first_settings(home, "toy", Settings(registry=SPEC, deploy=deploy_spec))
    save_first_settings(home, "toy", Settings(registry=SPEC, deploy=other))
    assert load_settings(home, "toy").deploy == deploy_spec
