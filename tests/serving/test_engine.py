"""The engine follows the pointer to good versions only; a bad one changes nothing but what it says."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serving.http.engine import Engine, EngineEvents
from serving.http.latest_time import LatestTime
from serving.http.loading import Trial
from serving.store import signing
from serving.store.override import Override
from serving.store.pointer import write_pointer
from tests.support.bad_versions import ROTTEN, Spoil


def engine_of(shop: Any, max_answer_ms: float = 1000.0, **options: Any) -> Engine:
    """An engine that is moved by hand: `look` instead of its thread."""
    trial = Trial(threads=1, max_answer_ms=max_answer_ms)
    return Engine(shop.folder, shop.public_key, trial=trial, **options)


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
    shop.bundle(2, work=600)
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


FAILED = {"gate": "release", "outcome": "fail", "findings": [{"outcome": "fail"}]}


def overridden(shop: Any, version: int, seconds: float) -> Override:
    """Promote a version that failed, by an override that ends in so many seconds."""
    now = datetime.now(UTC)
    override = Override(
        name="toy",
        version=version,
        bundle_sha256=shop.bundle(version)[1],
        reason="for the demonstration",
        by="an operator",
        created=now.isoformat(),
        expires=(now + timedelta(seconds=seconds)).isoformat(),
    )
    manifest = shop.manifest(version, verdict=FAILED)
    shop.folder.stage(shop.bundle(version)[0], manifest, shop.private_key, override)
    shop.folder.promote(version, shop.private_key)
    return override


def test_version_whose_override_expires_gives_way_to_the_last_that_passed(shop: Any) -> None:
    shop.release(1)
    overridden(shop, 2, 3600)
    override = overridden(shop, 3, 1.5)
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is not None
    assert engine.served.version == 3
    assert engine.served.manifest.override == override
    while not override.expired:
        time.sleep(0.02)
    engine.look()
    assert engine.served.version == 1, "another override is no approval to fall back on"
    assert engine.refusal is not None
    assert "expired" in engine.refusal.reason


def test_where_nothing_ever_passed_nothing_serves_after_the_override(shop: Any) -> None:
    override = overridden(shop, 1, 1.5)
    engine = engine_of(shop, retry_s=(0.1, 0.1))
    engine.look(cold=True)
    assert engine.served is not None
    while not override.expired:
        time.sleep(0.02)
    engine.look()
    assert engine.served is None
    assert "expired" in engine.reason
    shop.release(2)
    engine.look()
    assert engine.served.version == 2


def test_override_of_a_version_that_serves_already_can_be_renewed(shop: Any) -> None:
    failed = {"gate": "release", "outcome": "fail", "findings": [{"outcome": "fail"}]}
    now = datetime.now(UTC)
    override = Override(
        name="toy",
        version=1,
        bundle_sha256=shop.bundle(1)[1],
        reason="first",
        by="an operator",
        created=now.isoformat(),
        expires=(now + timedelta(days=1)).isoformat(),
    )
    manifest = shop.manifest(1, verdict=failed)
    folder = shop.folder.stage(shop.bundle(1)[0], manifest, shop.private_key, override)
    longer = dataclasses.replace(override, reason="second", expires=(now + timedelta(days=9)).isoformat())
    assert shop.folder.stage(shop.bundle(1)[0], manifest, shop.private_key, longer) == folder
    shop.folder.promote(1, shop.private_key)
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is not None
    assert engine.served.manifest.override == longer


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


def _pipe(path: Any) -> None:
    """A named pipe in the place of a file."""
    path.unlink()
    os.mkfifo(path)


def _key_exchanged(shop: Any) -> None:
    shutil.copyfile(signing.ensure_key_pair(shop.root / "forger")[1], shop.public_key)


def _away(path: Any) -> None:
    path.rename(path.with_name(f"{path.name}-elsewhere"))


ATTACKS: dict[str, Callable[[Any], None]] = {
    "the override a pipe": lambda shop: _pipe(shop.folder.version_dir(2) / "override.json"),
    "the override removed": lambda shop: (shop.folder.version_dir(2) / "override.json").unlink(),
    "the manifest a pipe": lambda shop: _pipe(shop.folder.version_dir(1) / "release.json"),
    "the graph a pipe": lambda shop: _pipe(shop.folder.version_dir(2) / "bundle" / "model.onnx"),
    "the pointer a pipe": lambda shop: _pipe(shop.folder.pointer_path),
    "a former pointer a pipe": lambda shop: _pipe(shop.folder.history_path / "00000001"),
    "one more pointer, a pipe": lambda shop: os.mkfifo(shop.folder.history_path / "00000099"),
    "the public key exchanged": _key_exchanged,
    "the public key removed": lambda shop: shop.public_key.unlink(),
    "the public key a pipe": lambda shop: _pipe(shop.public_key),
    "all versions gone": lambda shop: _away(shop.folder.versions_path),
    "the release folder gone": lambda shop: _away(shop.folder.path),
    "nothing": lambda shop: None,
}
"""What is done, after an override was verified, to make it last."""


@pytest.mark.parametrize("before", ["1 served", "cold"])
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_override_ends_at_its_time_whatever_becomes_of_the_files(
    shop: Any, attack: Callable[[Any], None], before: str
) -> None:
    shop.release(1)
    engine = engine_of(shop, retry_s=(0.0, 0.0))
    if before == "1 served":
        engine.look(cold=True)
    override = overridden(shop, 2, 1.5)
    engine.look(cold=before == "cold")
    assert engine.served is not None and engine.served.version == 2
    attack(shop)
    while not override.expired:
        time.sleep(0.01)
    assert engine.served is not None
    assert engine.served.version == 1, "before any look at the folder"
    for _ in range(2):
        looking = threading.Thread(target=engine.look, daemon=True)
        looking.start()
        looking.join(5)
        assert not looking.is_alive(), "it waits for a file"
        assert engine.served is not None and engine.served.version == 1
    assert engine.refusal is not None


def test_an_override_ends_although_the_follower_hangs(shop: Any) -> None:
    override = overridden(shop, 1, 1.0)
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is not None
    while not override.expired:
        time.sleep(0.01)
    assert engine.served is None
    assert engine.reason == "the override of version 1 expired"


@pytest.mark.parametrize("kept", [False, True])
def test_a_clock_that_is_set_back_prolongs_no_override(
    shop: Any, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.release(1)
    override = overridden(shop, 2, 1.5)
    clock = LatestTime(shop.root / "time" if kept else None)
    engine = engine_of(shop, clock=clock)
    engine.look(cold=True)
    assert engine.served is not None and engine.served.version == 2
    true_time = time.time
    while true_time() < override.ends - 0.3:
        engine.look()
        time.sleep(0.01)
    monkeypatch.setattr(time, "time", lambda: true_time() - 3600)
    assert not override.expired, "by the clock alone"
    assert engine.served.version == 2
    while true_time() < override.ends + 0.01:
        time.sleep(0.01)
    assert engine.served is not None and engine.served.version == 1
    engine.look()
    assert engine.refusal is not None and "expired" in engine.refusal.reason
    if kept:  # and started again, with that clock
        again = engine_of(shop, clock=LatestTime(shop.root / "time"))
        again.look(cold=True)
        assert again.served is not None and again.served.version == 1
        assert again.refusal is not None and "s behind the latest time seen" in again.refusal.reason


def test_a_clock_before_the_override_was_made_is_noticed(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.release(1)
    overridden(shop, 2, 60)
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() - 3600)
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is not None and engine.served.version == 1
    assert engine.refusal is not None and "set this machine's clock right" in engine.refusal.reason


def test_an_override_that_is_renewed_while_it_holds_lasts_longer(shop: Any) -> None:
    shop.release(1)
    first = overridden(shop, 2, 1.5)
    engine = engine_of(shop)
    engine.look(cold=True)
    overridden(shop, 2, 60)
    os.utime(shop.folder.pointer_path)  # as a promotion does
    engine.look()
    while not first.expired:
        time.sleep(0.01)
    engine.look()
    assert engine.served is not None and engine.served.version == 2
