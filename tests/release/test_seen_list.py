"""The list of texts that a version was trained on goes with it: registered, signed, staged, removed."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.seen_texts import first_seen_bytes, load_contents, load_seen, write_seen
from expectations.verdict import ApprovedVersion
from model.files import file_sha256
from model.spec import HeadSpec
from release.champion import ChampionRef, current_champion
from release.home import Home
from release.keys import public_key
from release.moves.promote import promote_version
from release.moves.promote_by_hand import promote_by_hand
from release.moves.reconcile import reconcile
from release.moves.rollback import roll_back
from release.registry.candidate import FINGERPRINT_EVIDENCE, Candidate
from release.registry.client import open_registry
from release.registry.register import register_version
from release.releases import open_releases
from release.saved_settings import Settings, save_settings
from release.spec import RegistrySpec
from release.targets.follower import sync_once
from serving.spec import DeploySpec
from serving.store.manifest import SEEN_EVIDENCE, SEEN_FILE, ReleaseRefused, verify_release
from serving.store.release_folder import ReleaseFolder
from sources.dataset import DatasetRef, build_dataset
from sources.spec import SourceSpec, SplitSpec, TargetSpec

SPEC = RegistrySpec()
Make = Callable[..., Candidate]


def ship(home: Home, made: Candidate) -> int:
    """Register and promote, as the flow does; the version."""
    done = register_version(home, "toy", SPEC, made)
    approved = ApprovedVersion(
        name="toy", version=done.version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    evidence = {FINGERPRINT_EVIDENCE: made.dataset_fingerprint, **made.evidence}
    promote_version(home, "toy", SPEC, approved, bundle=made.bundle, evidence=evidence)
    return done.version


def champion(home: Home) -> ChampionRef:
    found = current_champion(home, "toy")
    assert found is not None
    return found


def kept(home: Home, version: int) -> Path:
    """Where the list of a version lies."""
    return home.releases("toy") / "versions" / str(version) / SEEN_FILE


def ids(made: ChampionRef) -> list[int]:
    assert made.seen is not None
    return load_seen(made.seen).tolist()


def merged(folder: Path, home: Home, rows: int = 200) -> DatasetRef:
    """A dataset in the home, with a multiclass and a multilabel head, groups and unlabelled rows."""
    lines = [
        f"message {at},{['a', 'b', ''][at % 3]},{['x|y', '', 'y'][at % 3]},g{at // 3 if at % 2 else ''}"
        for at in range(rows)
    ]
    (folder / "rows.csv").write_text("\n".join(["text,mood,tags,who", *lines]))
    tags = TargetSpec(column="tags", encoding="separator", separator="|", empty_means_none=True)
    source = SourceSpec(path="rows.csv", heads={"mood": "mood", "tags": tags}, group="who")
    heads = {"mood": HeadSpec(kind="multiclass"), "tags": HeadSpec(kind="multilabel")}
    return build_dataset({"rows": source}, heads, SplitSpec(), folder, home.data)


def test_the_list_is_registered_signed_and_staged_beside_the_bundle(home: Home, candidate: Make) -> None:
    made = candidate(3)
    version = ship(home, made)
    assert made.seen is not None
    assert kept(home, version).read_bytes() == made.seen.read_bytes()
    assert stat.S_IMODE(kept(home, version).stat().st_mode) == 0o600
    assert not (kept(home, version).parent / "bundle" / SEEN_FILE).exists(), "the bundle ships without it"
    manifest = verify_release(kept(home, version).parent, public_key(home, "toy"), "toy")
    assert manifest.seen_sha256 == made.evidence[SEEN_EVIDENCE]
    assert ids(champion(home)) == list(range(3, 18))
    fetched = open_registry(home, "toy", SPEC).download_seen(version, home.cache)
    assert fetched.read_bytes() == made.seen.read_bytes()


def test_each_version_has_its_own_and_going_back_finds_it(home: Home, candidate: Make) -> None:
    save_settings(home, "toy", Settings(registry=SPEC, deploy=DeploySpec(port=0)))
    ship(home, candidate(1))
    ship(home, candidate(2))
    assert ids(champion(home))[0] == 2
    roll_back(home, "toy")
    assert (champion(home).version, ids(champion(home))[0]) == (1, 1)


def test_going_back_to_a_lost_version_fetches_its_list_too(home: Home, candidate: Make) -> None:
    save_settings(home, "toy", Settings(registry=SPEC, deploy=DeploySpec(port=0)))
    ship(home, candidate(1))
    ship(home, candidate(2))
    shutil.rmtree(kept(home, 1).parent)
    roll_back(home, "toy")
    assert reconcile(home, "toy", SPEC) == (
        "the list of texts that version 1 was trained on was fetched again",
    )
    assert ids(champion(home))[0] == 1
    assert reconcile(home, "toy", SPEC) == ()


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "link"])
def test_a_list_that_was_changed_is_refused_and_fetched_again(
    damage: str, home: Home, candidate: Make, tmp_path: Path
) -> None:
    version = ship(home, candidate(1))
    path = kept(home, version)
    data = path.read_bytes()
    if damage == "link":
        shutil.copy(path, tmp_path / "elsewhere")
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_bytes({"flip": data[:-1] + bytes([data[-1] ^ 1]), "cut": data[:-8], "empty": b""}[damage])
    with pytest.raises(ReleaseRefused, match=SEEN_FILE):
        champion(home)
    verify_release(path.parent, public_key(home, "toy"), "toy")  # what serves does not need it
    assert len(reconcile(home, "toy", SPEC)) == 1
    assert not path.is_symlink() and path.read_bytes() == data
    assert ids(champion(home))[0] == 1


def test_a_registry_with_another_list_repairs_nothing(home: Home, candidate: Make) -> None:
    version = ship(home, candidate(1))
    kept(home, version).unlink()
    [artifact] = home.mlflow.rglob(SEEN_FILE)
    artifact.write_bytes(b"HGSEEN1\n")
    assert reconcile(home, "toy", SPEC) == ()
    assert not kept(home, version).exists() and champion(home).seen is None
    artifact.unlink()
    assert reconcile(home, "toy", SPEC) == ()


def test_a_list_that_was_exchanged_before_the_promotion_stops_it(home: Home, candidate: Make) -> None:
    made = candidate(1)
    done = register_version(home, "toy", SPEC, made)
    [artifact] = home.mlflow.rglob(SEEN_FILE)
    artifact.write_bytes(b"HGSEEN1\n")
    approved = ApprovedVersion(
        name="toy", version=done.version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    with pytest.raises(ReleaseRefused, match="not the ones that were judged"):
        promote_version(home, "toy", SPEC, approved, bundle=made.bundle, evidence=made.evidence)
    assert open_releases(home, "toy", SPEC).serving() is None
    assert not list(home.cache.glob(".promoting*"))


def test_a_promotion_by_hand_brings_the_list_from_the_registry(home: Home, candidate: Make) -> None:
    made = candidate(4, "inconclusive")
    version = register_version(home, "toy", SPEC, made).version
    save_settings(home, "toy", Settings(registry=SPEC, deploy=DeploySpec(port=0, threads=1)))
    assert made.seen is not None
    made.seen.unlink()  # the run's folder is long gone
    done = promote_by_hand(home, "toy", version, reason="a person looked at it", expires="1d")
    assert done.outcome.deployed, done.outcome.reason
    assert ids(champion(home))[0] == 4


def test_a_version_of_an_older_headgate_serves_without_a_list(home: Home, candidate: Make) -> None:
    ship(home, replace(candidate(1), seen=None, evidence={"threads": 1}))
    assert champion(home).seen is None
    assert reconcile(home, "toy", SPEC) == ()
    ship(home, candidate(2))
    assert ids(champion(home))[0] == 2


def test_without_a_list_the_dataset_tells_as_long_as_it_is_kept(
    home: Home, candidate: Make, tmp_path: Path
) -> None:
    data = merged(tmp_path, home)
    expected = load_seen(write_seen(data.path, tmp_path / "list")).tolist()
    old = replace(candidate(1), seen=None, evidence={"threads": 1}, dataset_fingerprint=data.fingerprint)
    ship(home, old)
    assert ids(champion(home)) == expected
    # One whose list is lost: its dataset counts only if it gives the list that was signed.
    other = replace(candidate(2), dataset_fingerprint=data.fingerprint)
    version = ship(home, other)
    kept(home, version).unlink()
    assert champion(home).seen is None


def test_an_older_list_gives_way_to_the_dataset_which_tells_more(
    home: Home, candidate: Make, tmp_path: Path
) -> None:
    data = merged(tmp_path, home)
    older = tmp_path / SEEN_FILE
    older.write_bytes(first_seen_bytes(data.path))
    made = replace(
        candidate(1),
        seen=older,
        evidence={SEEN_EVIDENCE: file_sha256(older)},
        dataset_fingerprint=data.fingerprint,
    )
    version = ship(home, made)
    found = champion(home)
    assert found.seen is not None and found.seen.version == version
    told = load_contents(found.seen, {})
    assert told is not None and told.fingerprint == data.fingerprint and told.test is not None
    listed = load_seen(found.seen).tolist()
    shutil.rmtree(data.path)
    assert ids(champion(home)) == listed and load_contents(champion(home).seen, {}) is None


@pytest.mark.parametrize("change", ["a row moved", "no table", "no description", "another's"])
def test_a_dataset_that_was_changed_tells_nothing(
    change: str, home: Home, candidate: Make, tmp_path: Path
) -> None:
    """Whoever may write there must not choose which rows the champion is compared on."""
    data = merged(tmp_path, home)
    ship(home, replace(candidate(1), seen=None, evidence={}, dataset_fingerprint=data.fingerprint))
    assert champion(home).seen is not None
    table = data.path / "dataset.parquet"
    if change == "a row moved":
        rows = pq.read_table(table).to_pylist()
        next(row for row in rows if row["split"] == "train")["split"] = "test"
        pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(table)), table)
    elif change == "another's":
        shutil.copy(merged(tmp_path, home, rows=100).path / "dataset.parquet", table)
    else:
        (table if change == "no table" else data.path / "dataset.json").unlink()
    assert champion(home).seen is None


def test_a_replica_does_without_the_list(home: Home, candidate: Make, tmp_path: Path) -> None:
    """It serves, and never compares; who was in the training data does not leave this machine for it."""
    version = ship(home, candidate(1))
    replica = ReleaseFolder(tmp_path / "replica", "toy")
    seen = sync_once(open_registry(home, "toy", SPEC), replica, public_key(home, "toy"))
    assert (seen.state, seen.version) == ("followed", version)
    assert not (replica.version_dir(version) / SEEN_FILE).exists()


def test_the_clean_up_removes_a_list_with_its_version(home: Home, candidate: Make) -> None:
    for seed in (1, 2, 3):
        ship(home, candidate(seed))
    releases = open_releases(home, "toy", SPEC)
    assert releases.folder.prune(1, releases.public_key) == [1]
    assert sorted(path.parent.name for path in home.releases("toy").rglob(SEEN_FILE)) == ["2", "3"]
