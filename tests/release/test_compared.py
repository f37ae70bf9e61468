"""A version takes the place of the champion that it was compared with, and of no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from expectations.verdict import ApprovedVersion
from flows.parts.conclude import ending_of, release_of
from model.files import file_sha256
from release.home import Home
from release.journal import Journal
from release.kept_evidence import EvidenceGone
from release.moves.judge_again import NotJudgedAgain, find_judgeable, record_verdict
from release.moves.promote import Overtaken, promote_version
from release.moves.promote_by_hand import promote_by_hand
from release.moves.rollback import roll_back
from release.registry.candidate import Candidate
from release.registry.register import RegisteredVersion, register_version
from release.releases import open_releases
from release.saved_settings import Settings, save_settings
from release.spec import RegistrySpec
from release.targets.deploy import DeployOutcome
from serving.spec import DeploySpec

SPEC = RegistrySpec()
Make = Callable[..., Candidate]


@pytest.fixture(autouse=True)
def settled(home: Home, deploy_spec: DeploySpec) -> None:
    """The project is known, and deployed nowhere yet."""
    save_settings(home, "toy", Settings(registry=SPEC, deploy=deploy_spec))


def judged(made: Candidate, champion: Candidate | None) -> Candidate:
    """The candidate with evidence that names the bundles that were scored."""
    scored = {"shared": made.bundle_sha256}
    if champion is not None:
        scored["champion"] = champion.bundle_sha256
    return replace(made, evidence={**made.evidence, "scored_bundles": scored})


def registered(home: Home, made: Candidate) -> RegisteredVersion:
    return register_version(home, "toy", SPEC, made)


def promote(home: Home, made: Candidate, version: int) -> int | None:
    approved = ApprovedVersion(
        name="toy", version=version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    promote_version(home, "toy", SPEC, approved, bundle=made.bundle, evidence=made.evidence)
    return open_releases(home, "toy", SPEC).serving()


def test_of_two_overlapping_runs_the_second_is_compared_with_the_first(home: Home, candidate: Make) -> None:
    first = judged(candidate(1), None)
    assert promote(home, first, registered(home, first).version) == 1
    # Both were judged while version 1 served.
    second, third = judged(candidate(2), first), judged(candidate(3), first)
    versions = [registered(home, one) for one in (second, third)]
    assert promote(home, second, versions[0].version) == 2
    with pytest.raises(Overtaken, match=r"version 2 serves by now .* run `headgate judge toy 3`"):
        promote(home, third, versions[1].version)
    with pytest.raises(Overtaken, match="headgate judge toy 3"):
        promote_by_hand(home, "toy", 3)
    assert open_releases(home, "toy", SPEC).serving() == 2
    last = Journal(home.journal / "toy.jsonl").entries()[-1]
    assert (last.event, last.version) == ("promotion refused", 3)
    # It may be judged again although it passed (here only what that needs is missing), and then serve.
    with pytest.raises(EvidenceGone):
        find_judgeable(home, "toy", SPEC, 3)
    again = replace(judged(third, second), run_name=f"{third.run_name}~again")
    record_verdict(home, "toy", SPEC, versions[1], again)
    assert promote_by_hand(home, "toy", 3).outcome.serving == 3
    with pytest.raises(NotJudgedAgain, match="passed its gates already"):
        find_judgeable(home, "toy", SPEC, 3)


def test_a_first_version_that_another_forestalled_was_compared_with_nothing(
    home: Home, candidate: Make
) -> None:
    first, second = judged(candidate(1), None), judged(candidate(2), None)
    versions = [registered(home, one).version for one in (first, second)]
    assert promote(home, first, versions[0]) == 1
    with pytest.raises(Overtaken, match="was compared with no champion"):
        promote(home, second, versions[1])


def test_after_a_rollback_what_was_judged_before_it_is_not_promoted(home: Home, candidate: Make) -> None:
    first = judged(candidate(1), None)
    promote(home, first, registered(home, first).version)
    second = judged(candidate(2), first)
    promote(home, second, registered(home, second).version)
    third = judged(candidate(3), second)
    version = registered(home, third).version
    assert roll_back(home, "toy").serving == 1
    with pytest.raises(Overtaken, match="version 1 serves by now"):
        promote(home, third, version)
    assert roll_back(home, "toy", 2).serving == 2
    assert promote(home, third, version) == 3


def test_what_serves_and_can_not_be_read_is_not_taken_for_compared(home: Home, candidate: Make) -> None:
    first = judged(candidate(1), None)
    promote(home, first, registered(home, first).version)
    second = judged(candidate(2), first)
    version = registered(home, second).version
    manifest = open_releases(home, "toy", SPEC).folder.version_dir(1) / "bundle" / "manifest.json"
    assert file_sha256(manifest) == first.bundle_sha256
    manifest.unlink()
    with pytest.raises(Overtaken, match="`headgate rollback toy --to 1` fetches it again"):
        promote(home, second, version)
    assert roll_back(home, "toy", 1).serving == 1
    assert promote(home, second, version) == 2


def test_evidence_of_before_and_overrides_are_not_held(home: Home, candidate: Make) -> None:
    """Evidence that names no bundles is of an older Headgate; who overrides a verdict answers for it."""
    first, second = judged(candidate(1), None), candidate(2)
    promote(home, first, registered(home, first).version)
    assert promote(home, second, registered(home, second).version) == 2
    third = judged(candidate(3, "fail"), first)
    registered(home, third)
    assert promote_by_hand(home, "toy", 3, reason="it is asked for").outcome.serving == 3


def test_what_is_held_is_no_failure_and_says_what_to_do(home: Home, candidate: Make) -> None:
    """The task of the flow gives the reason as a value, and the run ends `Held`."""
    from tasks.release.promote import promote as promote_task

    first, second = judged(candidate(1), None), judged(candidate(2), None)
    versions = [registered(home, one) for one in (first, second)]
    assert promote_task.fn(home, "toy", SPEC, versions[0], first).version == 1  # type: ignore[union-attr]
    held = promote_task.fn(home, "toy", SPEC, versions[1], second)
    assert isinstance(held, str)
    done = DeployOutcome(end="held", wanted=2, serving=1, url=None, reason=held)
    ending = ending_of("toy", second.verdict, release_of(versions[1], done, None))
    assert ending["stage"] == "held" and "headgate judge toy 2" in ending["reasons"][0]
