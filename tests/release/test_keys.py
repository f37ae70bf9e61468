"""Keys of a project: no second one by accident, no champion that can't be verified; rotation and trust."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from expectations.verdict import ApprovedVersion
from flows.cli.commands import main
from release.champion import current_champion
from release.home import Home
from release.keys import signing_pair
from release.moves.new_key import FormerKeyNeeded, new_key, sign_again, trust_key
from release.moves.promote import promote_version
from release.moves.promote_by_hand import promote_by_hand
from release.moves.reconcile import reconcile
from release.moves.rollback import roll_back
from release.pointed import ChampionUnverified
from release.registry.candidate import Candidate
from release.registry.client import open_registry
from release.registry.judgement import read_judgement
from release.registry.register import register_version
from release.releases import open_releases
from release.saved_settings import Settings, save_settings
from release.spec import RegistrySpec
from release.targets.follower import sync_once
from serving.client import get
from serving.spec import DeploySpec
from serving.store import signing
from serving.store.manifest import ReleaseRefused, verify_release
from serving.store.release_folder import ReleaseFolder

SPEC = RegistrySpec()
Make = Callable[..., Candidate]


@pytest.fixture
def shipped(home: Home, candidate: Make, deploy_spec: DeploySpec) -> Home:
    """A home with versions 1 and 2 promoted, and version 3 registered as failed."""
    save_settings(home, "toy", Settings(registry=SPEC, deploy=deploy_spec))
    for seed in (1, 2):
        ship(home, candidate(seed))
    register_version(home, "toy", SPEC, candidate(3, "fail"))
    return home


def ship(home: Home, made: Candidate, name: str = "toy") -> None:
    done = register_version(home, name, SPEC, made)
    approved = ApprovedVersion(
        name=name, version=done.version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    promote_version(home, name, SPEC, approved, bundle=made.bundle)


def command(home: Home, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--home", str(home.root)])


def everything(home: Home) -> dict[str, bytes]:
    """Path → bytes of keys and releases."""
    folders = (home.keys, home.releases("toy"))
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if ".lock" not in path.name}


def aliases(home: Home) -> dict[str, int]:
    pointed = open_registry(home, "toy", SPEC).pointed()
    assert pointed is not None
    return dict(pointed.aliases)


def present_key(home: Home) -> signing.PublicKeys:
    return signing.PublicKeys(signing.load_public_keys(home.keys / "release.pub").keys[:1])


def test_on_a_machine_with_the_public_key_alone_nothing_is_moved_or_made(shipped: Home) -> None:
    (shipped.keys / "release.key").unlink()
    before = everything(shipped), aliases(shipped)
    for arguments in (["rollback", "toy"], ["promote", "toy", "1"], ["keys", "re-sign", "toy"]):
        refused = command(shipped, *arguments)
        assert refused.exit_code == 1, refused.output
        assert "release.key: not there, while its public key" in refused.output
        assert "copy it here with mode 0600" in refused.output and "headgate keys new toy" in refused.output
    assert (everything(shipped), aliases(shipped)) == before
    shown = command(shipped, "status", "toy")
    assert "champion   version 2" in shown.output, "what verifies needs no private key"
    assert "signature good" in shown.output


def test_no_key_is_made_where_releases_are(shipped: Home) -> None:
    for file in ("release.key", "release.pub"):
        (shipped.keys / file).unlink()
    before = everything(shipped)
    with pytest.raises(signing.KeyProblem, match="'toy' has releases in"):
        open_releases(shipped, "toy", SPEC)
    # Nor by another project, which would sign with the same key.
    with pytest.raises(signing.KeyProblem, match="'toy' has releases in"):
        signing_pair(shipped, "other", SPEC)
    assert everything(shipped) == before


def test_no_key_is_made_where_the_registry_names_a_champion(shipped: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    spec = replace(SPEC, tracking_uri=open_registry(shipped, "toy", SPEC).uri)
    with pytest.raises(signing.KeyProblem, match="the registry names a champion of 'toy'"):
        signing_pair(other, "toy", spec)
    assert not list(other.keys.iterdir())
    # An experiment beside it, with a model of its own, may begin.
    private, public = signing_pair(other, "experiment", spec)
    assert private.is_file() and public.is_file()


def _key_exchanged(home: Home) -> None:
    shutil.rmtree(home.keys)
    signing.ensure_key_pair(home.keys)


def _pointers_damaged(home: Home) -> None:
    folder = ReleaseFolder(home.releases("toy"), "toy")
    for path in (folder.pointer_path, *folder.history_path.iterdir()):
        path.write_bytes(b"\0" * 40)


def _pointers_pipes(home: Home) -> None:
    folder = ReleaseFolder(home.releases("toy"), "toy")
    for path in (folder.pointer_path, *folder.history_path.iterdir()):
        path.unlink()
        os.mkfifo(path)


def _pointers_gone(home: Home) -> None:
    folder = ReleaseFolder(home.releases("toy"), "toy")
    folder.pointer_path.unlink()
    shutil.rmtree(folder.history_path)


def _folder_gone(home: Home) -> None:
    shutil.rmtree(home.releases("toy"))


@pytest.mark.parametrize(
    "damage", [_key_exchanged, _pointers_damaged, _pointers_pipes, _pointers_gone, _folder_gone]
)
def test_a_champion_that_can_not_be_verified_stops_the_run(
    shipped: Home, candidate: Make, damage: Callable[[Home], None]
) -> None:
    """The gate must not take the way of a first model; and the registry keeps what it says."""
    kept = aliases(shipped)
    damage(shipped)
    before = everything(shipped)
    with pytest.raises(ChampionUnverified, match="it can't be verified which version serves") as stopped:
        current_champion(shipped, "toy")
    for advice in ("release.key", "headgate keys trust toy FILE", "headgate follow toy --once", "aside"):
        assert advice in str(stopped.value)
    for act in (
        lambda: reconcile(shipped, "toy", SPEC),
        lambda: roll_back(shipped, "toy"),
        lambda: ship(shipped, candidate(4)),
    ):
        with pytest.raises(ChampionUnverified):
            act()
    assert everything(shipped) == before
    assert aliases(shipped) == kept
    shown = command(shipped, "status", "toy")
    assert shown.exit_code == 1 and "UNKNOWN" in shown.output
    assert "toy: it can't be verified which version serves" in shown.output


def test_a_champion_whose_copy_is_gone_is_no_first_model_either(shipped: Home) -> None:
    shutil.rmtree(ReleaseFolder(shipped.releases("toy"), "toy").version_dir(2))
    with pytest.raises(ReleaseRefused):
        current_champion(shipped, "toy")


@pytest.mark.parametrize("damage", [_pointers_damaged, _pointers_gone, _folder_gone])
def test_the_advice_for_a_damaged_folder_helps(shipped: Home, damage: Callable[[Home], None]) -> None:
    damage(shipped)
    followed = command(shipped, "follow", "toy", "--once")
    assert followed.exit_code == 0, followed.output
    found = current_champion(shipped, "toy")
    assert found is not None and found.version == 2


def test_the_advice_for_an_exchanged_key_helps(shipped: Home, tmp_path: Path) -> None:
    former = Path(shutil.copyfile(shipped.keys / "release.pub", tmp_path / "former.pub"))
    _key_exchanged(shipped)
    assert command(shipped, "keys", "trust", "toy", str(former)).exit_code == 0
    found = current_champion(shipped, "toy")
    assert found is not None and found.version == 2
    reconcile(shipped, "toy", SPEC)
    assert roll_back(shipped, "toy").serving == 1


def test_to_give_the_champion_up_folder_and_journal_are_moved_aside(shipped: Home) -> None:
    _key_exchanged(shipped)
    shipped.releases("toy").rename(shipped.root / "aside")
    (shipped.journal / "toy.jsonl").unlink()
    assert current_champion(shipped, "toy") is None


def test_a_new_key_leaves_all_as_it_was(shipped: Home, candidate: Make) -> None:
    """With an endpoint that runs: it answers on, and follows what is signed with the new key."""
    url = promote_by_hand(shipped, "toy", 2).outcome.url
    assert url is not None
    before, former = aliases(shipped), present_key(shipped).fingerprints[0]
    done = command(shipped, "keys", "new", "toy")
    assert done.exit_code == 0, done.output
    assert f"still trusted: {former}" in done.output and f"restarted at {url}" in done.output
    present = present_key(shipped)
    assert present.fingerprints[0] != former
    folder = ReleaseFolder(shipped.releases("toy"), "toy")
    pointer = folder.pointer(present)
    assert pointer is not None and pointer.version == 2
    assert aliases(shipped) == before
    assert get(url, "/version")[1]["version"] == 2
    pointed = open_registry(shipped, "toy", SPEC).pointed()
    assert pointed is not None and pointed.pointer == folder.pointer_text()
    reconcile(shipped, "toy", SPEC)
    assert roll_back(shipped, "toy").serving == 1
    assert get(url, "/version")[1]["version"] == 1
    # What a former key signed in the registry can still be promoted.
    promote_by_hand(shipped, "toy", 3, reason="for the demonstration", expires="1h")
    assert get(url, "/version")[1]["version"] == 3
    shown = command(shipped, "keys", "show", "toy").output
    assert f"key        {present.fingerprints[0]}" in shown and f"trusted    {former}" in shown
    lines = [line.split() for line in shown.splitlines() if line.startswith("version")]
    assert lines == [
        ["version", "1", former],
        ["version", "2", former],
        ["version", "3", present.fingerprints[0]],
    ]


def test_a_lost_private_key_is_replaced_and_the_public_one_stays_trusted(shipped: Home) -> None:
    (shipped.keys / "release.key").unlink()
    new_key(shipped, "toy")
    assert roll_back(shipped, "toy").serving == 1


def test_a_replica_trusts_the_new_key_of_its_signer(shipped: Home, tmp_path: Path) -> None:
    replica = Home(tmp_path / "replica")
    trust_key(replica, "toy", shipped.keys / "release.pub")
    registry, folder = open_registry(shipped, "toy", SPEC), ReleaseFolder(replica.releases("toy"), "toy")
    key = replica.keys / "release.pub"
    assert sync_once(registry, folder, key).state == "followed"
    new_key(shipped, "toy")
    roll_back(shipped, "toy")
    assert sync_once(registry, folder, key).state == "refused", "the new key is not trusted here"
    trust_key(replica, "toy", shipped.keys / "release.pub")
    seen = sync_once(registry, folder, key)
    assert (seen.state, seen.version) == ("followed", 1)
    shown = command(replica, "keys", "show", "toy").output
    assert "the private key is not here" in shown


def test_after_signing_again_no_former_key_is_needed(shipped: Home, candidate: Make) -> None:
    promote_by_hand(shipped, "toy", 3, reason="for the demonstration", expires="1h")
    releases = open_releases(shipped, "toy", SPEC)
    forged = releases.folder.version_dir(1) / "release.sig"
    forged.write_bytes(forged.read_bytes()[::-1])
    new_key(shipped, "toy")
    done = sign_again(shipped, "toy", forget=True)
    assert len(signing.load_public_keys(shipped.keys / "release.pub").keys) == 1
    assert any(line.startswith("version 1: LEFT AS IT IS") for line in done), (
        "a wrong signature is no signature"
    )
    for version in (2, 3):
        verify_release(releases.folder.version_dir(version), releases.public_key, "toy")
    for version in (1, 2, 3):
        read_judgement(releases.registry, releases.public_key, version)
    current = current_champion(shipped, "toy")
    assert current is not None and current.version == 3 and "for the demonstration" in current.override
    # What is fetched from the registry verifies, too.
    shutil.rmtree(releases.folder.version_dir(2))
    assert roll_back(shipped, "toy").serving == 2


def test_a_former_key_is_not_forgotten_while_another_project_needs_it(shipped: Home, candidate: Make) -> None:
    ship(shipped, candidate(5), name="other")
    new_key(shipped, "toy")
    with pytest.raises(FormerKeyNeeded, match=r"versions \[1\] of 'other'.*re-sign other"):
        sign_again(shipped, "toy", forget=True)
    assert len(signing.load_public_keys(shipped.keys / "release.pub").keys) == 2
    sign_again(shipped, "other")
    sign_again(shipped, "toy", forget=True)
    assert current_champion(shipped, "other") is not None


def test_with_a_damaged_private_key_the_endpoint_serves_and_says_so(shipped: Home) -> None:
    """Answering only verifies: nobody waits at night for a key that moves versions."""
    key = shipped.keys / signing.PRIVATE_KEY
    key.write_bytes(b"")
    done = CliRunner().invoke(main, ["serve", "toy", "--home", str(shipped.root)])
    try:
        assert done.exit_code == 0, done.output
        assert "nothing can be signed" in done.output and str(key) in done.output
        assert get(done.output.split("serves at ")[1].split()[0], "/version")[1]["version"] == 2
    finally:
        CliRunner().invoke(main, ["stop", "toy", "--home", str(shipped.root)])
