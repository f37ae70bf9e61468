"""What serves by an override ends at its time, whatever becomes of files and clocks; it can be renewed."""

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

from serving.http.latest_time import LatestTime
from serving.store import signing
from serving.store.override import Override
from tests.support.crossed import crossed
from tests.support.engine_by_hand import engine_of

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


@pytest.mark.parametrize(("attack", "before"), crossed(list(ATTACKS), ["1 served", "cold"]))
def test_an_override_ends_at_its_time_whatever_becomes_of_the_files(
    shop: Any, attack: str, before: str
) -> None:
    shop.release(1)
    engine = engine_of(shop, retry_s=(0.0, 0.0))
    if before == "1 served":
        engine.look(cold=True)
    override = overridden(shop, 2, 1.5)
    engine.look(cold=before == "cold")
    assert engine.served is not None and engine.served.version == 2
    ATTACKS[attack](shop)
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
