"""The engine follows the pointer to good versions only; a bad one changes nothing but what it says."""

from __future__ import annotations

import dataclasses
import shutil
import time
from typing import Any

import pytest

from serving.http.engine import EngineEvents
from serving.store import signing
from serving.store.pointer import write_pointer
from tests.support.bad_versions import ROTTEN, Spoil
from tests.support.engine_by_hand import engine_of
from tests.support.toy_bundle import work_of


def test_follows_promotions_and_rollbacks(shop: Any) -> None:
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is None
    assert engine.reason == "no version has been promoted yet"
    for version in (1, 2):
        shop.release(version)
        engine.look()
        assert engine.served is not None
        assert engine.served.version == version
    shop.folder.roll_back(shop.private_key)
    engine.look()
    assert engine.served.version == 1
    assert (engine.refusal, engine.reason) == (None, "")


def test_staged_but_not_promoted_version_never_serves(shop: Any) -> None:
    shop.stage(1)
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is None


@pytest.mark.parametrize("spoil", ROTTEN.values(), ids=ROTTEN)
def test_bad_candidate_leaves_the_old_one_serving(shop: Any, spoil: Spoil) -> None:
    shop.release(1)
    refused = []
    engine = engine_of(shop, events=EngineEvents(on_refusal=refused.append))
    engine.look(cold=True)
    spoil(shop, shop.release(2), 2)
    engine.look()
    assert engine.served is not None
    assert engine.served.version == 1
    assert refused[0].version == 2
    assert str(shop.root) not in refused[0].reason
    # A good one after it is followed again.
    shop.release(4)
    engine.look()
    assert (engine.served.version, engine.refusal) == (4, None)


@pytest.mark.parametrize("spoil", ROTTEN.values(), ids=ROTTEN)
def test_cold_start_with_a_bad_version_serves_the_last_good_one(shop: Any, spoil: Spoil) -> None:
    shop.release(1)
    spoil(shop, shop.release(2), 2)
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is not None
    assert engine.served.version == 1
    assert engine.refusal is not None
    assert engine.refusal.version == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", None])
def test_cold_start_with_a_broken_pointer_serves_what_served_last(shop: Any, content: bytes | None) -> None:
    for version in (1, 2, 3):
        shop.release(version)
    shop.folder.roll_back(shop.private_key)
    if content is None:
        shop.folder.pointer_path.unlink()
    else:
        shop.folder.pointer_path.write_bytes(content)
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is not None
    assert engine.served.version == 2
    assert engine.refusal is not None


def test_version_that_was_rolled_back_from_does_not_return_by_itself(shop: Any) -> None:
    for version in (1, 2, 3):
        shop.release(version)
    shop.folder.roll_back(shop.private_key, 2)
    assert shop.folder.fallbacks(shop.public_key) == [2, 1]
    ROTTEN["bit flipped"](shop, shop.folder.version_dir(2), 2)
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is not None
    assert engine.served.version == 1


def test_cold_start_with_nothing_but_copies_serves_the_newest_good_one(shop: Any) -> None:
    for version in (1, 2, 3):
        shop.release(version)
    ROTTEN["bit flipped"](shop, shop.folder.version_dir(3), 3)
    shutil.rmtree(shop.folder.history_path)
    shop.folder.pointer_path.write_bytes(b"lost")
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is not None
    assert engine.served.version == 2


def test_cold_start_without_any_good_version_serves_nothing(shop: Any) -> None:
    ROTTEN["unsigned"](shop, shop.release(1), 1)
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is None
    assert "release.sig" in engine.reason


@pytest.mark.parametrize("cold", [False, True])
def test_replayed_pointer_is_refused(shop: Any, cold: bool) -> None:
    shop.release(1)
    old = shop.folder.pointer_path.read_bytes()
    shop.release(2)
    engine = engine_of(shop)
    if not cold:
        engine.look(cold=True)
    shop.folder.pointer_path.write_bytes(old)
    engine.look(cold=cold)
    assert engine.served is not None
    assert engine.served.version == 2
    assert engine.refusal is not None
    assert "older" in engine.refusal.reason


def test_pointer_signed_by_somebody_else_is_refused(shop: Any) -> None:
    shop.release(1)
    shop.stage(2)
    engine = engine_of(shop)
    engine.look(cold=True)
    forged = dataclasses.replace(shop.folder.pointer(shop.public_key), version=2, sequence=9)
    write_pointer(shop.folder.pointer_path, forged, signing.ensure_key_pair(shop.root / "forger")[0])
    engine.look()
    assert engine.served is not None
    assert engine.served.version == 1
    assert engine.refusal is not None


def test_slow_candidate_is_refused(shop: Any) -> None:
    shop.release(1)
    shop.bundle(2, work=work_of(10))
    engine = engine_of(shop, max_answer_ms=0.5)
    engine.look(cold=True)
    if engine.served is None:
        pytest.fail(f"the quick version was refused: {engine.reason}")
    shop.release(2)
    engine.look()
    assert engine.served.version == 1
    assert engine.refusal is not None
    assert "allowed" in engine.refusal.reason


def test_refused_version_is_tried_again_later(shop: Any) -> None:
    shop.release(1)
    engine = engine_of(shop, retry_s=(0.3, 0.3))
    engine.look(cold=True)
    folder = shop.release(2)
    kept = (folder / "release.sig").read_bytes()
    ROTTEN["unsigned"](shop, folder, 2)
    engine.look()
    assert engine.refusal is not None
    (folder / "release.sig").write_bytes(kept)
    engine.look()
    assert engine.served is not None
    assert engine.served.version == 1, "it is not tried at every look"
    time.sleep(0.35)
    engine.look()
    assert engine.served.version == 2


@pytest.mark.parametrize("content", ["no key", None])
def test_the_keys_of_the_start_hold_whatever_becomes_of_their_file(shop: Any, content: str | None) -> None:
    shop.release(1)
    engine = engine_of(shop)
    engine.look(cold=True)
    shop.stage(2)
    forger, forged = signing.ensure_key_pair(shop.root / "forger")
    pointer = dataclasses.replace(shop.folder.pointer(shop.public_key), version=2, sequence=9)
    kept = shop.public_key.read_bytes()
    shutil.copyfile(forged, shop.public_key)
    write_pointer(shop.folder.pointer_path, pointer, forger)
    engine.look()
    assert engine.served is not None
    assert engine.served.version == 1, "a pointer of another key was followed"
    assert engine.refusal is not None
    assert "signature does not fit" in engine.refusal.reason
    assert str(shop.root) not in engine.refusal.reason
    shop.public_key.write_bytes(kept)
    shop.release(3)
    shop.public_key.unlink()
    if content is not None:
        shop.public_key.write_text(content)
    engine.look()
    assert (engine.served.version, engine.refusal) == (3, None)


def test_without_a_usable_public_key_nothing_is_served_until_there_is_one(shop: Any) -> None:
    shop.release(1)
    kept = shop.public_key.read_bytes()
    shop.public_key.write_text("no key")
    engine = engine_of(shop, retry_s=(0.05, 0.05))
    engine.look(cold=True)
    assert engine.served is None
    assert engine.reason == "the public key can't be used"
    shop.public_key.write_bytes(kept)
    time.sleep(0.06)
    engine.look()
    assert engine.served is not None
