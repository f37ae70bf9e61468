"""The engine follows the pointer to good versions only; a bad one changes nothing but what it says."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from serving import signing
from serving.engine import Engine
from serving.manifest import write_release
from serving.override import Override
from serving.pointer import write_pointer


def engine_of(shop: Any, **options: Any) -> Engine:
    """An engine that is moved by hand: `look` instead of its thread."""
    return Engine(shop.folder, shop.public_key, threads=1, **options)


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


def _flip(shop: Any, folder: Path) -> None:
    data = bytearray((folder / "bundle" / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 4
    (folder / "bundle" / "model.onnx").write_bytes(bytes(data))


def _truncate(shop: Any, folder: Path) -> None:
    path = folder / "bundle" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-7])


def _unsigned(shop: Any, folder: Path) -> None:
    (folder / "release.sig").unlink()


def _forged(shop: Any, folder: Path) -> None:
    write_release(folder, shop.manifest(2), signing.ensure_key_pair(shop.root / "forger")[0])


def _failed(shop: Any, folder: Path) -> None:
    verdict = {"gate": "release", "outcome": "pass", "findings": [{"outcome": "fail"}]}
    write_release(folder, shop.manifest(2, verdict=verdict), shop.private_key)


def _replayed_manifest(shop: Any, folder: Path) -> None:
    for name in ("release.json", "release.sig"):
        shutil.copy(shop.folder.version_dir(1) / name, folder / name)


def _other_name(shop: Any, folder: Path) -> None:
    write_release(folder, shop.manifest(2, name="other"), shop.private_key)


def _gone(shop: Any, folder: Path) -> None:
    shutil.rmtree(folder)


def _resealed(shop: Any, folder: Path) -> None:
    """What a careless release would sign: the gates were passed, then the bundle was changed."""
    digest = shop.seal(folder / "bundle")
    write_release(folder, shop.manifest(2, bundle_sha256=digest), shop.private_key)


def _nan_weight(shop: Any, folder: Path) -> None:
    path = folder / "bundle" / "model.onnx"
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name == "table_mood":
            table = numpy_helper.to_array(tensor).copy()
            table[5, 0] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(table, tensor.name))
    path.write_bytes(model.SerializeToString())
    _resealed(shop, folder)


def _wrong_answers(shop: Any, folder: Path) -> None:
    shutil.copy(shop.bundle(3)[0] / "model.onnx", folder / "bundle" / "model.onnx")
    _resealed(shop, folder)


def _permuted_labels(shop: Any, folder: Path) -> None:
    path = folder / "bundle" / "card.json"
    card = json.loads(path.read_bytes())
    card["heads"]["mood"]["labels"].reverse()
    path.write_text(json.dumps(card))
    _resealed(shop, folder)


def _head_missing(shop: Any, folder: Path) -> None:
    path = folder / "bundle" / "card.json"
    card = json.loads(path.read_bytes())
    del card["heads"]["topics"]
    path.write_text(json.dumps(card))
    _resealed(shop, folder)


def _tolerant(shop: Any, folder: Path) -> None:
    path = folder / "bundle" / "golden.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "tolerance": 0.4}))
    _resealed(shop, folder)


BAD = (
    *(_flip, _truncate, _unsigned, _forged, _failed, _replayed_manifest, _other_name, _gone),
    *(_nan_weight, _wrong_answers, _permuted_labels, _head_missing, _tolerant),
)


@pytest.mark.parametrize("attack", BAD)
def test_bad_candidate_leaves_the_old_one_serving(shop: Any, attack: Callable[[Any, Path], None]) -> None:
    shop.release(1)
    refused = []
    engine = engine_of(shop, on_refusal=refused.append)
    engine.look(cold=True)
    attack(shop, shop.release(2))
    engine.look()
    assert engine.served is not None
    assert engine.served.version == 1
    assert refused[0].version == 2
    assert str(shop.root) not in refused[0].reason
    # A good one after it is followed again.
    shop.release(4)
    engine.look()
    assert (engine.served.version, engine.refusal) == (4, None)


@pytest.mark.parametrize("attack", BAD)
def test_cold_start_with_a_bad_version_serves_the_last_good_one(
    shop: Any, attack: Callable[[Any, Path], None]
) -> None:
    shop.release(1)
    attack(shop, shop.release(2))
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
    _flip(shop, shop.folder.version_dir(2))
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is not None
    assert engine.served.version == 1


def test_cold_start_with_nothing_but_copies_serves_the_newest_good_one(shop: Any) -> None:
    for version in (1, 2, 3):
        shop.release(version)
    _flip(shop, shop.folder.version_dir(3))
    shutil.rmtree(shop.folder.history_path)
    shop.folder.pointer_path.write_bytes(b"lost")
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is not None
    assert engine.served.version == 2


def test_cold_start_without_any_good_version_serves_nothing(shop: Any) -> None:
    _unsigned(shop, shop.release(1))
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
    _unsigned(shop, folder)
    engine.look()
    assert engine.refusal is not None
    (folder / "release.sig").write_bytes(kept)
    engine.look()
    assert engine.served is not None
    assert engine.served.version == 1, "it is not tried at every look"
    time.sleep(0.35)
    engine.look()
    assert engine.served.version == 2


def test_version_whose_override_expires_gives_way_to_the_one_before(shop: Any) -> None:
    shop.release(1)
    failed = {"gate": "release", "outcome": "fail", "findings": [{"outcome": "fail"}]}
    now = datetime.now(UTC)
    override = Override(
        name="toy",
        version=2,
        bundle_sha256=shop.bundle(2)[1],
        reason="for the demonstration",
        by="an operator",
        created=now.isoformat(),
        expires=(now + timedelta(seconds=1.5)).isoformat(),
    )
    shop.folder.stage(shop.bundle(2)[0], shop.manifest(2, verdict=failed), shop.private_key, override)
    shop.folder.promote(2, shop.private_key)
    engine = engine_of(shop)
    engine.look(cold=True)
    assert engine.served is not None
    assert engine.served.version == 2
    assert engine.served.manifest.override == override
    while not override.expired:
        time.sleep(0.02)
    engine.look()
    assert engine.served.version == 1
    assert engine.refusal is not None
    assert "expired" in engine.refusal.reason


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


def test_unusable_public_key_is_reported_and_serving_goes_on(shop: Any) -> None:
    shop.release(1)
    engine = engine_of(shop)
    engine.look(cold=True)
    shop.public_key.write_text("no key")
    shop.folder.pointer_path.touch()
    engine.look()
    assert engine.served is not None
    assert engine.refusal is not None
    assert str(shop.root) not in engine.refusal.reason
