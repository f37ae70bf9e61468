"""Staging is complete or nothing; promoting only goes forward; rolling back only to what is good."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from model.bundle.errors import BundleError
from model.bundle.reader import Bundle
from serving.store import signing
from serving.store.manifest import ReleaseRefused, verify_release
from serving.store.pointer import PointerBroken, write_pointer
from serving.store.release_folder import PromotionRefused, ReleaseFolder


def test_staged_version_does_not_serve_until_it_is_promoted(shop: Any) -> None:
    shop.stage(1)
    assert shop.folder.versions() == [1]
    assert shop.folder.pointer(shop.public_key) is None
    pointer = shop.folder.promote(1, shop.private_key)
    assert (pointer.version, pointer.sequence, pointer.previous) == (1, 1, None)
    assert shop.folder.pointer(shop.public_key) == pointer


def test_staging_again_changes_nothing(shop: Any) -> None:
    folder = shop.stage(1)
    before = (folder / "release.sig").stat().st_ino
    assert shop.stage(1) == folder
    assert (folder / "release.sig").stat().st_ino == before
    assert [path.name for path in shop.folder.versions_path.iterdir()] == ["1"]


def test_damaged_copy_is_replaced(shop: Any) -> None:
    folder = shop.stage(1)
    (folder / "bundle" / "model.onnx").write_bytes(b"")
    shop.stage(1)
    assert (folder / "bundle" / "model.onnx").read_bytes() == (shop.bundle(1)[0] / "model.onnx").read_bytes()
    assert [path.name for path in shop.folder.versions_path.iterdir()] == ["1"]


def test_another_bundle_under_the_same_version_is_refused(shop: Any) -> None:
    shop.stage(1)
    changed = dataclasses.replace(shop.manifest(1), bundle_sha256=shop.bundle(2)[1])
    with pytest.raises(ReleaseRefused, match="register a new version"):
        shop.folder.stage(shop.bundle(2)[0], changed, shop.private_key)


@pytest.mark.parametrize("damage", ["fail verdict", "missing file", "altered file", "other name"])
def test_what_may_not_serve_is_not_staged_and_leaves_nothing(shop: Any, damage: str) -> None:
    bundle, _ = shop.bundle(1)
    manifest = shop.manifest(1)
    if damage == "fail verdict":
        manifest = shop.manifest(1, verdict={"gate": "release", "outcome": "pass", "findings": []})
    elif damage == "other name":
        manifest = shop.manifest(1, name="other")
    elif damage == "missing file":
        (bundle / "card.json").unlink()
    else:
        (bundle / "card.json").write_bytes(b"{}")
    with pytest.raises((ReleaseRefused, OSError)):
        shop.folder.stage(bundle, manifest, shop.private_key)
    assert shop.folder.versions() == []
    assert not shop.folder.versions_path.exists() or not list(shop.folder.versions_path.iterdir())


def test_older_approval_does_not_overwrite_a_newer_one(shop: Any) -> None:
    shop.stage(1)
    shop.release(2)
    with pytest.raises(PromotionRefused, match="older"):
        shop.folder.promote(1, shop.private_key)
    assert shop.folder.pointer(shop.public_key).version == 2


def test_rolling_back_does_not_open_the_way_for_older_approvals(shop: Any) -> None:
    for version in (1, 3):
        shop.release(version)
    shop.folder.roll_back(shop.private_key)
    assert shop.folder.pointer(shop.public_key).version == 1
    shop.stage(2)
    with pytest.raises(PromotionRefused, match="older than approval 3"):
        shop.folder.promote(2, shop.private_key)


def test_rolling_back_goes_one_back_or_to_a_named_version(shop: Any) -> None:
    for version in (1, 2, 3):
        shop.release(version)
    assert shop.folder.roll_back(shop.private_key).version == 2
    assert shop.folder.roll_back(shop.private_key, 1).version == 1
    assert shop.folder.roll_back(shop.private_key, 3).version == 3
    assert [pointer.version for pointer in shop.folder.pointers(shop.public_key)] == [3, 1, 2, 3, 2, 1]


def test_rolling_back_to_nothing_or_to_damage_is_refused(shop: Any) -> None:
    shop.release(1)
    with pytest.raises(PromotionRefused, match="earlier version"):
        shop.folder.roll_back(shop.private_key)
    with pytest.raises(PromotionRefused, match="version 7"):
        shop.folder.roll_back(shop.private_key, 7)
    shop.release(2)
    (shop.folder.version_dir(1) / "bundle" / "card.json").write_bytes(b"{}")
    with pytest.raises(ReleaseRefused):
        shop.folder.roll_back(shop.private_key)
    assert shop.folder.pointer(shop.public_key).version == 2


def test_racing_promotions_end_at_the_newest(shop: Any) -> None:
    for version in range(1, 9):
        shop.stage(version)

    def promote(version: int) -> None:
        try:
            ReleaseFolder(shop.folder.path).promote(version, shop.private_key)
        except PromotionRefused:
            return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(promote, (3, 8, 1, 6, 2, 7, 4, 5)))
    assert shop.folder.pointer(shop.public_key).version == 8


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"null", b'{"version": 1, "sequence": 1}', b"\xff", b"[" * 50_000]
)
def test_broken_pointer_is_noticed_and_mended_by_the_next_promotion(shop: Any, content: bytes) -> None:
    shop.release(1)
    last = shop.folder.pointer(shop.public_key)
    shop.folder.pointer_path.write_bytes(content)
    with pytest.raises(PointerBroken):
        shop.folder.pointer(shop.public_key)
    assert shop.folder.latest_pointer(shop.public_key) == last
    assert shop.folder.promote(1, shop.private_key) == last
    assert shop.folder.pointer(shop.public_key) == last


def test_pointer_edited_or_of_another_model_is_refused(shop: Any) -> None:
    shop.release(1)
    path = shop.folder.pointer_path
    text = path.read_text()
    path.write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(PointerBroken, match="signature"):
        shop.folder.pointer(shop.public_key)
    path.write_text(text)
    write_pointer(path, dataclasses.replace(shop.folder.pointer(shop.public_key), name="x"), shop.private_key)
    with pytest.raises(PointerBroken, match="another model"):
        shop.folder.pointer(shop.public_key)


def test_a_version_whose_own_pointer_is_damaged_is_still_fallen_back_on(shop: Any) -> None:
    for version in (1, 2, 3):
        shop.release(version)
    assert shop.folder.fallbacks(shop.public_key) == [3, 2, 1]
    (shop.folder.history_path / "00000001").write_bytes(b"")
    assert shop.folder.fallbacks(shop.public_key) == [3, 2, 1]
    shop.folder.roll_back(shop.private_key, 1)
    assert shop.folder.fallbacks(shop.public_key) == [1]


def test_pruning_keeps_the_newest_the_serving_and_the_one_before(shop: Any) -> None:
    for version in range(1, 7):
        shop.release(version)
    shop.folder.roll_back(shop.private_key, 2)
    shop.folder.roll_back(shop.private_key, 1)
    (shop.folder.versions_path / ".staging-9-dead" / "9").mkdir(parents=True)
    assert shop.folder.prune(2, shop.public_key) == [3, 4]
    assert shop.folder.versions() == [1, 2, 5, 6]
    assert not list(shop.folder.versions_path.glob(".*"))


def test_copied_release_folder_serves_elsewhere(shop: Any) -> None:
    shop.release(1)
    replica = shop.root / "replica" / "toy"
    shutil.copytree(shop.folder.path, replica)
    assert ReleaseFolder(replica).pointer(shop.public_key).version == 1


def test_pointers_of_which_none_verifies_are_not_taken_for_none(shop: Any) -> None:
    for version in (1, 2):
        shop.release(version)
    kept = shop.folder.pointer_path.read_bytes()
    for path in (shop.folder.pointer_path, *shop.folder.history_path.iterdir()):
        path.write_bytes(b"{}")
    shop.stage(3)
    with pytest.raises(PointerBroken, match="of 3 pointers, none verifies"):
        shop.folder.latest_pointer(shop.public_key)
    with pytest.raises(PointerBroken):
        shop.folder.promote(3, shop.private_key)
    with pytest.raises(PointerBroken):
        shop.folder.roll_back(shop.private_key, 1)
    with pytest.raises(PointerBroken):
        shop.folder.prune(1, shop.public_key)
    assert shop.folder.versions() == [1, 2, 3]
    shop.folder.pointer_path.write_bytes(kept)
    assert shop.folder.promote(3, shop.private_key).sequence == 3


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.rename(path.with_name(f".{path.name}"))
    path.symlink_to(f".{path.name}")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _huge(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(2**40)


def _socket(path: Path) -> None:
    path.unlink()
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


ODD = {"a pipe": _pipe, "a link": _link, "a folder": _folder, "huge": _huge, "a socket": _socket}
"""What is put in the place of a file → how."""


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize(
    "file", ["current", "pointers/00000002", "versions/2/release.json", "versions/2/release.sig"]
)
def test_what_is_no_plain_file_of_a_usual_size_is_refused_without_waiting(
    shop: Any, odd: Callable[[Path], None], file: str
) -> None:
    for version in (1, 2):
        shop.release(version)
    odd(shop.folder.path / file)
    if file == "current":
        with pytest.raises(PointerBroken):
            shop.folder.pointer(shop.public_key)
    assert [pointer.version for pointer in shop.folder.pointers(shop.public_key)] == [2, 1]
    if file.startswith("versions"):
        with pytest.raises(ReleaseRefused, match="can't be read"):
            verify_release(shop.folder.version_dir(2), shop.public_key, "toy")
        shop.stage(2)
    if (file, odd) == ("current", _folder):
        with pytest.raises(IsADirectoryError):  # no pointer of ours; a person looks what it is
            shop.folder.roll_back(shop.private_key, 1)
        return
    shop.folder.roll_back(shop.private_key, 1)
    assert shop.folder.pointer(shop.public_key).version == 1


@pytest.mark.parametrize("odd", [_pipe, _link, _folder, _huge])
@pytest.mark.parametrize(
    "file", ["model.onnx", "tokenizer.json", "card.json", "golden.json", "manifest.json"]
)
def test_files_of_a_bundle_are_plain_ones_too(shop: Any, odd: Callable[[Path], None], file: str) -> None:
    folder = shop.release(1)
    odd(folder / "bundle" / file)
    with pytest.raises(ReleaseRefused, match=r"can't be read|more or fewer files"):
        verify_release(folder, shop.public_key, "toy")
    if odd is not _link:
        with pytest.raises(BundleError):
            Bundle.load(folder / "bundle", threads=1)


def test_a_release_folder_behind_links_of_its_parents_serves(shop: Any) -> None:
    """As Kubernetes mounts one, and the key file as a link."""
    shop.release(1)
    mounts = shop.root / "mounts"
    mounts.mkdir()
    (mounts / "releases").symlink_to(shop.folder.path.parent)
    (mounts / "release.pub").symlink_to(shop.public_key)
    seen = ReleaseFolder(mounts / "releases" / "toy")
    assert seen.pointer(mounts / "release.pub").version == 1
    assert verify_release(seen.version_dir(1), mounts / "release.pub", "toy").outcome == "pass"


def test_pointers_signed_again_say_the_same(shop: Any) -> None:
    for version in (1, 2):
        shop.release(version)
    before = shop.folder.pointers(shop.public_key)
    signing.new_key_pair(shop.private_key.parent)
    assert shop.folder.sign_pointers_again(shop.private_key) == 3
    present = signing.PublicKeys(signing.load_public_keys(shop.public_key).keys[:1])
    assert shop.folder.pointers(present) == before
