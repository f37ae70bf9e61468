"""A replica follows what was approved and signed, and nothing else; its folder outlives the registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from expectations.verdict import ApprovedVersion
from flows.cli.commands import main
from release.home import Home
from release.moves.promote import promote_version
from release.moves.rollback import roll_back
from release.registry.candidate import Candidate
from release.registry.client import Registry, open_registry
from release.registry.register import register_version
from release.spec import RegistrySpec
from release.targets.follower import sync_once
from serving.store.manifest import verify_release
from serving.store.release_folder import ReleaseFolder

SPEC = RegistrySpec()
Make = Callable[..., Candidate]


@pytest.fixture
def ship(home: Home, candidate: Make) -> Callable[[int], int]:
    def ship(seed: int) -> int:
        made = candidate(seed)
        done = register_version(home, "toy", SPEC, made)
        approved = ApprovedVersion(
            name="toy", version=done.version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
        )
        return promote_version(home, "toy", SPEC, approved, bundle=made.bundle).version

    return ship


@pytest.fixture
def replica(tmp_path: Path) -> ReleaseFolder:
    return ReleaseFolder(tmp_path / "replica" / "toy", "toy")


@pytest.fixture
def key(home: Home, tmp_path: Path) -> Callable[[], Path]:
    def key() -> Path:
        return Path(shutil.copyfile(home.keys / "release.pub", tmp_path / "release.pub"))

    return key


def test_a_replica_follows_promotions_and_rollbacks(
    home: Home, ship: Callable[[int], int], replica: ReleaseFolder, key: Callable[[], Path]
) -> None:
    registry = open_registry(home, "toy", SPEC)
    ship(1)
    assert (seen := sync_once(registry, replica, key())).state == "followed" and seen.version == 1
    assert sync_once(registry, replica, key()).state == "current"
    ship(2)
    assert sync_once(registry, replica, key()).version == 2
    roll_back(home, "toy")
    assert sync_once(registry, replica, key()).state == "followed"
    pointer = replica.pointer(key())
    assert pointer is not None and pointer.version == 1
    assert verify_release(replica.version_dir(1), key(), "toy").outcome == "pass"
    assert replica.versions() == [1, 2]


def test_an_alias_that_was_moved_by_hand_is_not_followed(
    home: Home, ship: Callable[[int], int], replica: ReleaseFolder, key: Callable[[], Path]
) -> None:
    registry = open_registry(home, "toy", SPEC)
    ship(1)
    ship(2)
    sync_once(registry, replica, key())
    registry.set_alias("champion", 1)
    seen = sync_once(registry, replica, key())
    assert (seen.state, seen.version) == ("refused", 1)
    assert "moved by hand" in seen.reason
    pointer = replica.pointer(key())
    assert pointer is not None and pointer.version == 2


def test_an_old_pointer_that_was_put_back_is_not_followed(
    home: Home, ship: Callable[[int], int], replica: ReleaseFolder, key: Callable[[], Path]
) -> None:
    registry = open_registry(home, "toy", SPEC)
    ship(1)
    pointed = registry.pointed()
    assert pointed is not None and pointed.pointer is not None
    ship(2)
    sync_once(registry, replica, key())
    registry.set_pointer(pointed.pointer)
    registry.set_alias("champion", 1)
    assert sync_once(registry, replica, key()).state == "refused"
    registry.set_pointer('{"name": "toy", "version": 9, "sequence": 9, "approval": 9, "signature": "AA=="}')
    registry.set_alias("champion", 2)
    assert sync_once(registry, replica, key()).state == "refused"


def test_a_candidate_without_a_signed_release_never_arrives(
    home: Home,
    ship: Callable[[int], int],
    candidate: Make,
    replica: ReleaseFolder,
    key: Callable[[], Path],
) -> None:
    ship(1)
    register_version(home, "toy", SPEC, candidate(2, "fail"))
    registry = open_registry(home, "toy", SPEC)
    registry.set_alias("champion", 2)
    assert sync_once(registry, replica, key()).state == "refused"
    assert replica.versions() == []


def test_a_damaged_copy_is_fetched_again(
    home: Home, ship: Callable[[int], int], replica: ReleaseFolder, key: Callable[[], Path]
) -> None:
    registry = open_registry(home, "toy", SPEC)
    ship(1)
    sync_once(registry, replica, key())
    graph = replica.version_dir(1) / "bundle" / "model.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert sync_once(registry, replica, key()).state == "current"
    assert graph.read_bytes() == whole


def test_with_the_registry_down_the_folder_stays(
    home: Home,
    ship: Callable[[int], int],
    replica: ReleaseFolder,
    key: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ship(1)
    sync_once(open_registry(home, "toy", SPEC), replica, key())
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    down = Registry("http://127.0.0.1:9", "toy", SPEC)
    assert sync_once(down, replica, key()).state == "unreachable"
    pointer = replica.pointer(key())
    assert pointer is not None and pointer.version == 1


def test_the_command_looks_once_on_request(home: Home, ship: Callable[[int], int]) -> None:
    command = ["follow", "toy", "--home", str(home.root), "--once"]
    before = CliRunner().invoke(main, command)
    ship(1)
    after = CliRunner().invoke(main, command)
    assert [(r.exit_code, json.loads(r.stdout)["state"]) for r in (before, after)] == [
        (1, "nothing"),
        (0, "current"),
    ]
    assert json.loads((home.followers / "toy.json").read_text())["version"] == 1
