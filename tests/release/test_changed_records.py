"""A release record that is damaged, forged or another version's says nothing of a bundle or a registry."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from release.home import Home
from release.journal import Journal
from release.moves.reconcile import reconcile
from release.moves.rollback import roll_back
from release.registry.bond import released_bundle
from release.releases import OtherRegistry, Releases, open_releases
from release.spec import RegistrySpec
from serving.store import signing
from serving.store.manifest import (
    BUNDLE_FOLDER,
    BUNDLE_MANIFEST,
    RELEASE_FILE,
    SIGNATURE_FILE,
    ReleaseManifest,
    signed_manifest,
    verify_release,
    write_release,
)
from tests.release.test_adopt import Make, bundle, ship
from tests.support.toy_bundle import write_bundle, write_bundle_manifest

SPEC = RegistrySpec()


def _signed(releases: Releases, version: int) -> ReleaseManifest:
    return signed_manifest(releases.folder.version_dir(version), releases.public_key)


def _of_the_other(releases: Releases, version: int) -> None:
    where, other = releases.folder.version_dir(version), releases.folder.version_dir(3 - version)
    for file in (RELEASE_FILE, SIGNATURE_FILE):
        shutil.copy(other / file, where / file)


def _forged(releases: Releases, version: int) -> None:
    where = releases.folder.version_dir(version)
    signed = dataclasses.replace(_signed(releases, version), bundle_sha256="e" * 64)
    write_release(where, signed, signing.ensure_key_pair(releases.home.root / "forger")[0])


def _edited(releases: Releases, version: int) -> None:
    file = releases.folder.version_dir(version) / RELEASE_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), "bundle_sha256": "e" * 64}))


def _of_another_project(releases: Releases, version: int) -> None:
    signed = dataclasses.replace(_signed(releases, version), name="other", bundle_sha256="e" * 64)
    write_release(releases.folder.version_dir(version), signed, releases.private_key)


def _without_signature(releases: Releases, version: int) -> None:
    _edited(releases, version)
    (releases.folder.version_dir(version) / SIGNATURE_FILE).unlink()


CHANGES: dict[str, Callable[[Releases, int], None]] = {
    "another version's": _of_the_other,
    "forged": _forged,
    "edited": _edited,
    "another project's": _of_another_project,
    "without signature": _without_signature,
}


def _two_versions(home: Home, candidate: Make) -> tuple[Releases, list[str]]:
    """Versions 1 and 2, of which the second serves; the digests of their bundles."""
    made = [candidate(1), candidate(2)]
    for one in made:
        ship(home, one)
    return open_releases(home, "toy", SPEC), [one.bundle_sha256 for one in made]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_record_of_the_champion_is_fetched_again_and_said(
    change: str, home: Home, candidate: Make
) -> None:
    releases, (_, second) = _two_versions(home, candidate)
    CHANGES[change](releases, 2)
    assert released_bundle(releases.folder, 2, releases.public_key) == ""
    said, seen_texts = reconcile(home, "toy", SPEC)
    assert "list of texts" in seen_texts
    assert said.startswith("version 2 on disk did not verify (release.")
    assert said.endswith("): fetched from the registry")
    assert said in [entry.detail for entry in Journal(home.journal / "toy.jsonl").entries()]
    assert bundle(open_releases(home, "toy", SPEC)) == second
    assert reconcile(home, "toy", SPEC) == (), "said once"
    assert ship(home, candidate(3)) == 3


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_record_of_the_version_before_stops_nothing(
    change: str, home: Home, candidate: Make
) -> None:
    releases, (first, _) = _two_versions(home, candidate)
    CHANGES[change](releases, 1)
    assert reconcile(home, "toy", SPEC) == ()
    assert roll_back(home, "toy").serving == 1
    assert bundle(open_releases(home, "toy", SPEC)) == first


def test_a_version_that_was_signed_for_two_bundles_is_refused_with_both_and_a_way_out(
    home: Home, candidate: Make, tmp_path: Path
) -> None:
    """The key's own holder signed another bundle: which one was meant can't be known from here."""
    releases, (_, second) = _two_versions(home, candidate)
    where = releases.folder.version_dir(2)
    shutil.rmtree(where / BUNDLE_FOLDER)
    write_bundle(where / BUNDLE_FOLDER, 66)
    digest = write_bundle_manifest(where / BUNDLE_FOLDER)
    write_release(
        where, dataclasses.replace(_signed(releases, 2), bundle_sha256=digest), releases.private_key
    )
    with pytest.raises(OtherRegistry) as refused:
        reconcile(home, "toy", SPEC)
    assert f"Version 2 is bundle {digest[:12]} here and {second[:12]} there" in str(refused.value)
    assert f"move {where} aside" in str(refused.value)
    assert (where / BUNDLE_FOLDER / BUNDLE_MANIFEST).is_file(), "nothing was moved"
    where.rename(tmp_path / "aside")
    said = reconcile(home, "toy", SPEC)[0]
    assert "fetched from the registry" in said
    assert verify_release(where, releases.public_key, "toy").bundle_sha256 == second
