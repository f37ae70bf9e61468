"""Only what passed is promoted, only what answers as judged stays, and a way back always exists."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from expectations.verdict import ApprovedVersion, NotApproved
from release.home import Home
from release.journal import Journal
from release.moves.promote import promote_version
from release.moves.rollback import RollbackRefused, roll_back
from release.registry.candidate import Candidate
from release.registry.client import VERDICT_TAG, open_registry
from release.registry.register import RegisteredVersion, register_version
from release.releases import open_releases
from release.saved_settings import load_settings, state_file
from release.spec import RegistrySpec
from release.status import read_status
from release.targets.deploy import PortTaken, deploy_version, refuse_taken_port
from serving.client import ask, get
from serving.process import control as process
from serving.spec import DeploySpec
from serving.store.manifest import ReleaseRefused
from serving.store.release_folder import PromotionRefused

SPEC = RegistrySpec()
Make = Callable[..., Candidate]


def approved(registered: RegisteredVersion, candidate: Candidate) -> ApprovedVersion:
    return ApprovedVersion(
        name=registered.name,
        version=registered.version,
        bundle_sha256=candidate.bundle_sha256,
        verdict=candidate.verdict,
    )


def ship(home: Home, made: Candidate) -> int:
    """Register and promote; the version."""
    registered = register_version(home, "toy", SPEC, made)
    promote_version(home, "toy", SPEC, approved(registered, made), bundle=made.bundle)
    return registered.version


def aliases(home: Home) -> dict[str, int]:
    pointed = open_registry(home, "toy", SPEC).pointed()
    assert pointed is not None
    return dict(pointed.aliases)


def events(home: Home) -> list[tuple[str, int | None]]:
    return [(entry.event, entry.version) for entry in Journal(home.journal / "toy.jsonl").entries()]


def test_a_pass_moves_the_alias_and_the_former_champion_gets_previous(home: Home, candidate: Make) -> None:
    assert ship(home, candidate(1)) == 1
    assert aliases(home) == {"champion": 1}
    assert ship(home, candidate(2)) == 2
    assert aliases(home) == {"champion": 2, "previous": 1}
    releases = open_releases(home, "toy", SPEC)
    assert (releases.serving(), releases.served()) == (2, [1, 2])
    assert events(home)[-3:] == [("registered", 2), ("promotion begun", 2), ("promoted", 2)]


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_a_gate_that_does_not_pass_moves_nothing(outcome: str, home: Home, candidate: Make) -> None:
    ship(home, candidate(1))
    before = aliases(home)
    made = candidate(2, outcome)
    registered = register_version(home, "toy", SPEC, made)
    with pytest.raises(NotApproved, match="version 2 of 'toy' is not approved"):
        approved(registered, made)
    # Even an approval made of another verdict does not pass the registry's record.
    forged = replace(made, verdict=candidate(3).verdict)
    with pytest.raises(PromotionRefused, match="expected 'pass'"):
        promote_version(home, "toy", SPEC, approved(registered, forged), bundle=made.bundle)
    assert aliases(home) == before == {"champion": 1}
    moves = [event for event, _ in events(home) if event in ("promoted", "rolled back", "restored")]
    assert moves == ["promoted"]
    assert open_releases(home, "toy", SPEC).folder.versions() == [1]


def test_a_bundle_changed_after_the_gate_is_not_promoted(home: Home, candidate: Make) -> None:
    ship(home, candidate(1))
    made = candidate(2)
    registered = register_version(home, "toy", SPEC, made)
    (made.bundle / "golden.json").write_text("{}")
    with pytest.raises(ReleaseRefused):
        promote_version(home, "toy", SPEC, approved(registered, made), bundle=made.bundle)
    assert aliases(home) == {"champion": 1}
    assert events(home)[-1] == ("undone", 2)


def test_an_older_approval_cannot_overwrite_a_newer_one(home: Home, candidate: Make) -> None:
    older, newer = candidate(1), candidate(2)
    first, second = (register_version(home, "toy", SPEC, made) for made in (older, newer))
    promote_version(home, "toy", SPEC, approved(second, newer), bundle=newer.bundle)
    with pytest.raises(PromotionRefused, match="older than version 2"):
        promote_version(home, "toy", SPEC, approved(first, older), bundle=older.bundle)
    assert aliases(home) == {"champion": 2}
    assert events(home)[-1] == ("promotion refused", 1)


def test_of_racing_promotions_the_newest_wins(home: Home, candidate: Make) -> None:
    made = [candidate(seed) for seed in range(1, 5)]
    registered = [register_version(home, "toy", SPEC, one) for one in made]
    ready = threading.Barrier(len(made))

    def race(number: int) -> None:
        ready.wait(10)
        try:
            promote_version(
                home, "toy", SPEC, approved(registered[number], made[number]), bundle=made[number].bundle
            )
        except PromotionRefused:
            refused.append(number)

    refused: list[int] = []
    racers = [threading.Thread(target=race, args=(number,)) for number in range(len(made))]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert aliases(home)["champion"] == 4 == open_releases(home, "toy", SPEC).serving()
    promoted = [version for event, version in events(home) if event == "promoted"]
    assert promoted == sorted(promoted, key=int) and len(promoted) + len(refused) == 4


def test_a_version_whose_verdict_tag_was_edited_is_refused(home: Home, candidate: Make) -> None:
    made = candidate(1)
    registered = register_version(home, "toy", SPEC, made)
    open_registry(home, "toy", SPEC).client.set_model_version_tag("toy", "1", VERDICT_TAG, "fail")
    with pytest.raises(PromotionRefused, match="somebody changed it"):
        promote_version(home, "toy", SPEC, approved(registered, made), bundle=made.bundle)
    assert aliases(home) == {}


def spoil_golden(made: Candidate) -> Candidate:
    """The candidate with golden answers that its bundle does not give: the endpoint must refuse it."""
    golden = json.loads((made.bundle / "golden.json").read_text())
    golden["probabilities"]["mood"][0].reverse()
    (made.bundle / "golden.json").write_text(json.dumps(golden))
    return replace(made, bundle_sha256=_remake_manifest(made.bundle))


def _remake_manifest(bundle: Path) -> str:
    import hashlib

    raw = json.loads((bundle / "manifest.json").read_text())
    for name, about in raw["files"].items():
        data = (bundle / name).read_bytes()
        about.update(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    (bundle / "manifest.json").write_text(json.dumps(raw))
    return hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()


def test_deploy_swaps_and_a_bad_version_goes_back(
    home: Home, candidate: Make, deploy_spec: DeploySpec
) -> None:
    """Start, swap, refuse, roll back: one endpoint process through all of it."""
    first = deploy_version(home, "toy", SPEC, deploy_spec, ship(home, candidate(1)))
    assert first.deployed and first.url is not None and ask(first.url, "late")["version"] == 1
    second = deploy_version(home, "toy", SPEC, deploy_spec, ship(home, candidate(2)))
    assert second.url == first.url and ask(first.url, "late")["version"] == 2

    bad = deploy_version(home, "toy", SPEC, deploy_spec, ship(home, spoil_golden(candidate(3))))
    assert (bad.deployed, bad.wanted, bad.serving) == (False, 3, 2)
    assert "golden" in bad.reason
    assert aliases(home) == {"champion": 2, "previous": 1}
    assert get(first.url, "/version")[1]["version"] == 2
    assert [event for event, _ in events(home)[-3:]] == ["not deployed", "restore begun", "restored"]

    back = roll_back(home, "toy")
    assert back.deployed and ask(first.url, "late")["version"] == 1
    assert aliases(home) == {"champion": 1}
    assert load_settings(home, "toy").deploy == deploy_spec


def candidate_bundle(home: Home, version: int) -> Path:
    return open_releases(home, "toy", SPEC).folder.version_dir(version) / "bundle"


def test_a_first_version_that_is_bad_leaves_no_champion_and_no_endpoint(
    home: Home, candidate: Make, deploy_spec: DeploySpec
) -> None:
    bad = ship(home, spoil_golden(candidate(1)))
    began = time.monotonic()
    outcome = deploy_version(home, "toy", SPEC, deploy_spec, bad)
    assert time.monotonic() - began < deploy_spec.start_timeout_s, "a refusal is not waited out"
    assert (outcome.deployed, outcome.serving, outcome.url) == (False, None, None)
    assert aliases(home) == {}
    assert process.status(state_file(home, "toy")) is None
    assert events(home)[-1] == ("withdrawn", 1)
    assert ship(home, candidate(2)) == 2
    assert aliases(home) == {"champion": 2}


def test_rolling_back_twice_goes_back_twice_and_a_named_version_returns(home: Home, candidate: Make) -> None:
    for seed in (1, 2, 3):
        ship(home, candidate(seed))
    assert roll_back(home, "toy").serving == 2
    assert aliases(home) == {"champion": 2, "previous": 1}
    assert roll_back(home, "toy").serving == 1
    assert aliases(home) == {"champion": 1}
    with pytest.raises(RollbackRefused, match="no version served before 1"):
        roll_back(home, "toy")
    assert roll_back(home, "toy", 3).serving == 3
    assert aliases(home) == {"champion": 3, "previous": 1}
    with pytest.raises(RollbackRefused, match="version 3 is the champion already"):
        roll_back(home, "toy", 3)


def test_rolling_back_goes_through_the_same_verification(home: Home, candidate: Make) -> None:
    ship(home, candidate(1))
    ship(home, candidate(2))
    register_version(home, "toy", SPEC, candidate(3, "fail"))
    with pytest.raises(RollbackRefused, match="version 3 may not serve"):
        roll_back(home, "toy", 3)
    assert aliases(home) == {"champion": 2, "previous": 1}
    # A damaged copy on disk is fetched again from the registry and verified.
    graph = candidate_bundle(home, 1) / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    assert roll_back(home, "toy", 1).serving == 1


def _champion(home: Home) -> str:
    [project] = read_status(home.root, "toy")["projects"]
    return str(project["champion"])


def test_a_damaged_champion_is_fetched_again_by_going_back_to_it(home: Home, candidate: Make) -> None:
    ship(home, candidate(1))
    ship(home, candidate(2))
    graph = candidate_bundle(home, 2) / "model.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1] + b"\0")
    assert "REFUSED" in (said := _champion(home)) and "rollback toy --to 2" in said
    assert roll_back(home, "toy", 2).serving == 2
    assert graph.read_bytes() == whole and "signature good" in _champion(home)
    assert aliases(home) == {"champion": 2, "previous": 1} and events(home)[-1] == ("reconciled", 2)
    with pytest.raises(RollbackRefused, match="version 2 is the champion already"):
        roll_back(home, "toy", 2)


def test_a_taken_port_is_refused_before_anything_happens(home: Home, deploy_spec: DeploySpec) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"deploy\.port: 127\.0\.0\.1:{port} can't be listened on"):
            refuse_taken_port(home, "toy", replace(deploy_spec, port=port))
    refuse_taken_port(home, "toy", replace(deploy_spec, port=port))
