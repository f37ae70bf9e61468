"""Registry and release folder know each other, and are brought together where they are strangers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from expectations.verdict import ApprovedVersion
from flows.cli.commands import main
from release.home import Home
from release.journal import Journal
from release.moves.adopt import NotAdopted, adopt_local, adopt_registry
from release.moves.promote import promote_version
from release.moves.reconcile import reconcile
from release.moves.rollback import roll_back
from release.registry.bond import BOND_FILE
from release.registry.candidate import Candidate
from release.registry.client import BOND_TAG, BUNDLE_TAG, POINTER_TAG, open_registry
from release.registry.judgement import read_judgement
from release.registry.register import register_version
from release.releases import OtherRegistry, Releases, open_releases
from release.spec import RegistrySpec
from release.targets.follower import sync_once
from serving.spec import DeploySpec
from serving.store.manifest import verify_release
from serving.store.release_folder import PromotionRefused, ReleaseFolder

SPEC = RegistrySpec()
Make = Callable[..., Candidate]


def ship(home: Home, made: Candidate, spec: RegistrySpec = SPEC) -> int:
    done = register_version(home, "toy", spec, made)
    approved = ApprovedVersion(
        name="toy", version=done.version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    return promote_version(home, "toy", spec, approved, bundle=made.bundle, evidence=made.evidence).version


def bundle(releases: Releases) -> str:
    version = releases.serving()
    assert version is not None
    return verify_release(releases.folder.version_dir(version), releases.public_key, "toy").bundle_sha256


@pytest.fixture
def elsewhere(tmp_path: Path) -> RegistrySpec:
    """Another registry: a SQLite file that is not there yet."""
    return RegistrySpec(tracking_uri=f"sqlite:///{tmp_path}/elsewhere.sqlite")


@pytest.fixture
def twin(home: Home, tmp_path: Path, store: Path) -> Home:
    """Another home with the same key."""
    made = Home(tmp_path / "twin")
    shutil.copyfile(store, made.mlflow / "store.sqlite")
    open_releases(home, "toy", SPEC)  # makes the key
    shutil.copytree(home.keys, made.keys, dirs_exist_ok=True)
    return made


def test_what_serves_is_carried_with_its_signed_record(
    home: Home, candidate: Make, deploy_spec: DeploySpec, elsewhere: RegistrySpec
) -> None:
    first, second = candidate(1), candidate(2)
    ship(home, first)
    ship(home, second)
    with pytest.raises(OtherRegistry, match=r"version 2 serves.*headgate adopt CONFIG --local"):
        reconcile(home, "toy", elsewhere)
    assert open_registry(home, "toy", elsewhere).pointed() is None, "nothing was made there"

    done = adopt_local(home, "toy", elsewhere, deploy_spec)
    assert done.version == 3 and "version 2 is version 3" in done.said
    releases = open_releases(home, "toy", elsewhere)
    judged = read_judgement(releases.registry, releases.public_key, 3)
    assert (judged.bundle_sha256, judged.verdict) == (second.bundle_sha256, second.verdict)
    assert dict(judged.evidence) == dict(second.evidence)
    assert bundle(releases) == second.bundle_sha256
    pointed = releases.registry.pointed()
    assert pointed is not None and pointed.aliases == {"champion": 3}
    assert reconcile(home, "toy", elsewhere) == ()
    assert adopt_local(home, "toy", elsewhere, deploy_spec).version == 3, "a second time changes nothing"
    assert open_releases(home, "toy", elsewhere).serving() == 3

    third = candidate(3)
    assert ship(home, third, elsewhere) == 4
    assert roll_back(home, "toy").serving == 3
    assert roll_back(home, "toy").serving == 5, "version 1, which this registry never had"
    assert bundle(releases) == first.bundle_sha256
    assert releases.registry.bundle_of(5) == first.bundle_sha256
    assert reconcile(home, "toy", elsewhere) == ()


def test_the_same_key_and_number_do_not_make_it_the_same_bundle(
    home: Home, twin: Home, candidate: Make
) -> None:
    """Both pointers name version 1 and are signed alike; only the digests differ."""
    ship(home, candidate(1))
    other = candidate(2)
    ship(twin, other)
    spec = RegistrySpec(tracking_uri=open_registry(twin, "toy", SPEC).uri)
    with pytest.raises(OtherRegistry):
        reconcile(home, "toy", spec)
    approved = ApprovedVersion(
        name="toy", version=1, bundle_sha256=other.bundle_sha256, verdict=other.verdict
    )
    with pytest.raises(OtherRegistry):
        promote_version(home, "toy", spec, approved, bundle=other.bundle)


def test_a_version_whose_number_serves_another_bundle_is_not_taken_for_promoted(
    home: Home, candidate: Make
) -> None:
    first, other = candidate(1), candidate(2)
    ship(home, first)
    registry = open_registry(home, "toy", SPEC)
    # The registry's tag says so, too: it can be written by any client.
    registry.client.set_model_version_tag("toy", "1", BUNDLE_TAG, other.bundle_sha256)
    approved = ApprovedVersion(
        name="toy", version=1, bundle_sha256=other.bundle_sha256, verdict=other.verdict
    )
    with pytest.raises((OtherRegistry, PromotionRefused)):
        promote_version(home, "toy", SPEC, approved, bundle=other.bundle)
    assert bundle(open_releases(home, "toy", SPEC)) == first.bundle_sha256


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("tag", ["0" * 64, None], ids=["changed", "removed"])
def test_a_digest_tag_that_somebody_changed_is_written_again_from_the_signed_record(
    version: int, tag: str | None, home: Home, candidate: Make
) -> None:
    """Of the champion and of the version before it; said once."""
    made = {1: candidate(1), 2: candidate(2)}
    for one in made.values():
        ship(home, one)
    registry = open_registry(home, "toy", SPEC)
    if tag is None:
        registry.client.delete_model_version_tag("toy", str(version), BUNDLE_TAG)
    else:
        registry.client.set_model_version_tag("toy", str(version), BUNDLE_TAG, tag)
    (said,) = reconcile(home, "toy", SPEC)
    assert said.startswith(f"somebody changed the digest tag of version {version} in the registry")
    assert registry.bundle_of(version) == made[version].bundle_sha256
    assert reconcile(home, "toy", SPEC) == ()
    assert ship(home, candidate(3)) == 3


def test_the_record_of_another_key_mends_no_tag(
    home: Home, candidate: Make, tmp_path: Path, store: Path
) -> None:
    """A registry of somebody else, whose version 1 is not ours, stays as it is."""
    ship(home, candidate(1))
    stranger = Home(tmp_path / "stranger")
    shutil.copyfile(store, stranger.mlflow / "store.sqlite")
    other = candidate(2)
    ship(stranger, other)
    spec = RegistrySpec(tracking_uri=open_registry(stranger, "toy", SPEC).uri)
    with pytest.raises(OtherRegistry):
        reconcile(home, "toy", spec)
    assert open_registry(home, "toy", spec).bundle_of(1) == other.bundle_sha256


def test_a_registry_that_is_ahead_is_noticed_and_followed(
    home: Home, candidate: Make, deploy_spec: DeploySpec, tmp_path: Path
) -> None:
    """Two state folders with one registry: what one promoted, the other does not overwrite."""
    shared = RegistrySpec(tracking_uri=f"sqlite:///{tmp_path}/shared.sqlite")
    ship(home, candidate(1), shared)
    behind = Home(tmp_path / "behind")
    shutil.copytree(home.root, behind.root)
    newest = candidate(2)
    ship(home, newest, shared)

    with pytest.raises(OtherRegistry, match=r"promoted from another release folder.*--registry"):
        reconcile(behind, "toy", shared)
    assert adopt_registry(behind, "toy", shared, deploy_spec).version == 2
    releases = open_releases(behind, "toy", shared)
    assert bundle(releases) == newest.bundle_sha256
    assert releases.served() == [2] or releases.served() == [1, 2]
    assert reconcile(behind, "toy", shared) == ()
    assert ship(behind, candidate(3), shared) == 3
    assert roll_back(behind, "toy").serving == 2


def test_local_wins_over_a_registry_that_is_ahead_and_replicas_follow(
    home: Home, candidate: Make, deploy_spec: DeploySpec, tmp_path: Path
) -> None:
    shared = RegistrySpec(tracking_uri=f"sqlite:///{tmp_path}/shared.sqlite")
    first = candidate(1)
    ship(home, first, shared)
    behind = Home(tmp_path / "behind")
    shutil.copytree(home.root, behind.root)
    for seed in (2, 3):
        ship(home, candidate(seed), shared)
    replica = ReleaseFolder(tmp_path / "replica" / "toy", "toy")
    replica.versions_path.mkdir(parents=True)
    registry, key = open_registry(home, "toy", shared), home.keys / "release.pub"
    assert sync_once(registry, replica, key).version == 3

    assert adopt_local(behind, "toy", shared, deploy_spec).version == 4
    assert bundle(open_releases(behind, "toy", shared)) == first.bundle_sha256
    seen = sync_once(registry, replica, key)
    assert (seen.state, seen.version) == ("followed", 4), seen.reason
    with pytest.raises(OtherRegistry):
        reconcile(home, "toy", shared)


def test_another_story_signed_with_our_key_is_taken_over_and_the_former_put_aside(
    home: Home, twin: Home, candidate: Make, deploy_spec: DeploySpec
) -> None:
    ship(home, candidate(1))
    ship(home, candidate(2))
    other = candidate(3)
    ship(twin, other)
    spec = RegistrySpec(tracking_uri=open_registry(twin, "toy", SPEC).uri)
    done = adopt_registry(home, "toy", spec, deploy_spec)
    assert done.version == 1
    assert bundle(open_releases(home, "toy", spec)) == other.bundle_sha256
    (aside,) = home.releases("toy").parent.glob("toy.before-*")
    assert (aside / "versions" / "2").is_dir() and (aside / "toy.jsonl").is_file() and str(aside) in done.said
    assert [entry.event for entry in Journal(home.journal / "toy.jsonl").entries()] == ["adopted"]
    assert reconcile(home, "toy", spec) == ()


def test_a_story_signed_with_another_key_is_not_taken_over(
    home: Home, candidate: Make, deploy_spec: DeploySpec, tmp_path: Path, store: Path
) -> None:
    first = candidate(1)
    ship(home, first)
    stranger = Home(tmp_path / "stranger")
    shutil.copyfile(store, stranger.mlflow / "store.sqlite")
    ship(stranger, candidate(2))
    spec = RegistrySpec(tracking_uri=open_registry(stranger, "toy", SPEC).uri)
    with pytest.raises(NotAdopted, match=r"nothing to take over: .*--local"):
        adopt_registry(home, "toy", spec, deploy_spec)
    assert bundle(open_releases(home, "toy", spec)) == first.bundle_sha256
    assert not list(home.releases("toy").parent.glob("*toy.*"))
    assert adopt_local(home, "toy", spec, deploy_spec).version == 2


def test_a_new_home_does_not_ship_past_the_champion_of_its_registry(
    home: Home, twin: Home, candidate: Make, deploy_spec: DeploySpec
) -> None:
    """Nothing serves here yet, and the registry has a champion: not a first model."""
    champion = candidate(1)
    ship(home, champion)
    spec = RegistrySpec(tracking_uri=open_registry(home, "toy", SPEC).uri)
    with pytest.raises(OtherRegistry, match="nothing serves"):
        reconcile(twin, "toy", spec)
    assert adopt_registry(twin, "toy", spec, deploy_spec).version == 1
    assert bundle(open_releases(twin, "toy", spec)) == champion.bundle_sha256


def test_releases_of_older_versions_are_known_by_their_digests_and_get_an_id(
    home: Home, candidate: Make
) -> None:
    ship(home, candidate(1))
    releases = open_releases(home, "toy", SPEC)
    (releases.folder.path / BOND_FILE).unlink()
    client = releases.registry.client
    experiment = client.get_experiment_by_name("toy").experiment_id
    client.delete_experiment_tag(experiment, BOND_TAG)
    client.delete_registered_model_tag("toy", POINTER_TAG)
    assert reconcile(home, "toy", SPEC) == ("the aliases name version 1 again, as the pointer does",)
    bond = (releases.folder.path / BOND_FILE).read_text()
    assert client.get_experiment(experiment).tags[BOND_TAG] == bond


def test_a_lost_previous_version_is_said_once_and_can_serve_again(home: Home, candidate: Make) -> None:
    first = candidate(1)
    ship(home, first)
    ship(home, candidate(2))
    registry = open_registry(home, "toy", SPEC)
    registry.client.delete_model_version("toy", "1")
    assert reconcile(home, "toy", SPEC) == (
        "the registry has lost version 1: no alias names it; its copy here stays",
    )
    assert reconcile(home, "toy", SPEC) == ()
    assert roll_back(home, "toy").serving == 3
    assert registry.bundle_of(3) == first.bundle_sha256


def test_the_command_says_how_they_stand_and_brings_them_together(
    home: Home, candidate: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is relative: it is looked for beside the configuration, wherever the command is started."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    config = tmp_path / "project" / "toy.yaml"
    config.parent.mkdir()
    raw = {
        "name": "toy",
        "heads": {"mood": "multiclass"},
        "sources": {"rows": {"path": "rows.csv", "heads": {"mood": "mood"}}},
        "registry": {"tracking_uri": "sqlite:///registry.sqlite"},
    }
    config.write_text(yaml.safe_dump(raw))
    ship(home, candidate(1))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run, where = CliRunner().invoke, ["--home", str(home.root)]
    stand = run(main, ["adopt", str(config), *where])
    assert stand.exit_code == 2 and "adopt CONFIG --local" in stand.stderr, stand.output
    none = run(main, ["adopt", str(config), "--registry", *where])
    assert none.exit_code == 1 and "nothing to take over" in none.stderr, none.output
    done = run(main, ["adopt", str(config), "--local", *where])
    assert done.exit_code == 0 and "version 1 is version 2 in the registry" in done.output, done.output
    assert (config.parent / "registry.sqlite").is_file()
    stand = run(main, ["adopt", str(config), *where])
    assert stand.exit_code == 0 and "belong together" in stand.output
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == []
