"""What stands between a folder on disk and traffic: only an approved, unaltered version passes."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from serving.store import signing
from serving.store.manifest import ReleaseRefused, verdict_outcome, verify_release, write_release
from serving.store.override import Override, OverrideProblem, write_override

FILES = ("model.onnx", "tokenizer.json", "card.json", "golden.json", "manifest.json")


def flip(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


def test_approved_version_is_let_through(shop: Any) -> None:
    manifest = verify_release(shop.stage(1), shop.public_key, "toy")
    assert (manifest.version, manifest.outcome, manifest.override) == (1, "pass", None)


@pytest.mark.parametrize("file_name", FILES)
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "remove", "link"])
def test_damaged_bundle_file_is_refused(shop: Any, file_name: str, damage: str) -> None:
    folder = shop.stage(1)
    path = folder / "bundle" / file_name
    if damage == "flip":
        flip(path, len(path.read_bytes()) // 2)
    elif damage == "truncate":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        elsewhere = shop.root / "elsewhere"
        shutil.copy(path, elsewhere)
        path.unlink()
        if damage == "link":
            path.symlink_to(elsewhere)
    with pytest.raises(ReleaseRefused, match=r"bundle|plain file|can't be read"):
        verify_release(folder, shop.public_key, "toy")


def test_additional_file_in_the_bundle_is_refused(shop: Any) -> None:
    folder = shop.stage(1)
    (folder / "bundle" / "model.onnx.data").write_bytes(b"more")
    with pytest.raises(ReleaseRefused, match="more or fewer files"):
        verify_release(folder, shop.public_key, "toy")


def _unsigned(shop: Any, folder: Path) -> None:
    (folder / "release.sig").unlink()


def _cut_signature(shop: Any, folder: Path) -> None:
    path = folder / "release.sig"
    path.write_bytes(path.read_bytes()[:-1])


def _edited(shop: Any, folder: Path) -> None:
    path = folder / "release.json"
    path.write_bytes(path.read_bytes().replace(b'"rows": 400', b'"rows": 401'))


def _forged(shop: Any, folder: Path) -> None:
    private, _ = signing.ensure_key_pair(shop.root / "forger")
    write_release(folder, shop.manifest(1), private)


def _signed_for_other_purpose(shop: Any, folder: Path) -> None:
    data = (folder / "release.json").read_bytes()
    (folder / "release.sig").write_bytes(signing.sign(data, shop.private_key, "pointer"))


def _other_name(shop: Any, folder: Path) -> None:
    write_release(folder, shop.manifest(1, name="other"), shop.private_key)


def _other_version(shop: Any, folder: Path) -> None:
    write_release(folder, dataclasses.replace(shop.manifest(1), version=2), shop.private_key)


def _other_bundle(shop: Any, folder: Path) -> None:
    shutil.rmtree(folder / "bundle")
    shutil.copytree(shop.bundle(2)[0], folder / "bundle")


def _no_bundle(shop: Any, folder: Path) -> None:
    shutil.rmtree(folder / "bundle")


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (_unsigned, "release.sig: can't be read"),
        (_cut_signature, "signature"),
        (_edited, "signature"),
        (_forged, "signature"),
        (_signed_for_other_purpose, "signature"),
        (_other_name, "another model"),
        (_other_version, "version 2"),
        (_other_bundle, "not the one that was approved"),
        (_no_bundle, "can't be read"),
    ],
)
def test_forgery_is_refused(shop: Any, attack: Callable[[Any, Path], None], reason: str) -> None:
    folder = shop.stage(1)
    attack(shop, folder)
    with pytest.raises(ReleaseRefused, match=reason):
        verify_release(folder, shop.public_key, "toy")


def _finding(outcome: Any = "pass", **figures: Any) -> dict[str, Any]:
    return {"subject": "mood", "outcome": outcome, "reason": "because", "figures": figures}


@pytest.mark.parametrize(
    ("findings", "outcome"),
    [
        ([_finding()], "pass"),
        ([_finding(rows=3, ratio=0.5, floor=None)], "pass"),
        ([_finding(), _finding("fail")], "fail"),
        ([_finding("inconclusive"), _finding("fail")], "fail"),
        ([_finding(), _finding("inconclusive")], "inconclusive"),
        ([], "inconclusive"),
        (None, "inconclusive"),
        ("pass", "inconclusive"),
        (["pass"], "inconclusive"),
        ([_finding("PASS")], "inconclusive"),
        ([_finding(None)], "inconclusive"),
        ([_finding(difference=float("nan"))], "inconclusive"),
        ([_finding(difference=float("inf"))], "inconclusive"),
        ([{"outcome": "pass", "figures": [1]}], "inconclusive"),
    ],
)
def test_outcome_follows_from_findings(findings: Any, outcome: str) -> None:
    assert verdict_outcome({"gate": "release", "outcome": "pass", "findings": findings}) == outcome


@pytest.mark.parametrize("findings", [[], [_finding("fail")], [_finding("inconclusive")]])
def test_signed_verdict_that_only_claims_to_pass_is_refused(shop: Any, findings: Any) -> None:
    folder = shop.stage(1)
    verdict = {"gate": "release", "outcome": "pass", "findings": findings}
    write_release(folder, shop.manifest(1, verdict=verdict), shop.private_key)
    with pytest.raises(ReleaseRefused, match=r"the verdict is (fail|inconclusive), not pass"):
        verify_release(folder, shop.public_key, "toy")


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "1e999"])
def test_figure_that_is_not_finite_is_refused_even_when_signed(shop: Any, figure: str) -> None:
    folder = shop.stage(1)
    data = (folder / "release.json").read_bytes().replace(b'"rows": 400', f'"rows": {figure}'.encode())
    (folder / "release.json").write_bytes(data)
    (folder / "release.sig").write_bytes(signing.sign(data, shop.private_key, "release"))
    with pytest.raises(ReleaseRefused, match=r"not JSON|inconclusive"):
        verify_release(folder, shop.public_key, "toy")


def test_figure_that_is_not_finite_is_not_signed(shop: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        shop.manifest(1, evidence={"p95_ms": float("nan")}).to_bytes()


def test_it_names_every_file_with_its_sha256(shop: Any) -> None:
    folder = shop.stage(1)
    manifest = verify_release(folder, shop.public_key, "toy")
    assert manifest.files == {
        name: hashlib.sha256((folder / "bundle" / name).read_bytes()).hexdigest() for name in FILES[:-1]
    }


def _signed(shop: Any, folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    raw = json.loads((folder / "release.json").read_bytes())
    change(raw)
    data = json.dumps(raw).encode()
    (folder / "release.json").write_bytes(data)
    (folder / "release.sig").write_bytes(signing.sign(data, shop.private_key, "release"))


def test_files_that_are_not_those_of_the_bundle_are_refused(shop: Any) -> None:
    folder = shop.stage(1)
    _signed(shop, folder, lambda raw: raw["files"].update({"model.onnx": "0" * 64}))
    with pytest.raises(ReleaseRefused, match="its files are not those of the bundle"):
        verify_release(folder, shop.public_key, "toy")


def test_what_an_older_program_signed_still_serves(shop: Any) -> None:
    """Version 1 of the manifest had neither files nor configuration nor code version."""
    folder = shop.stage(1)

    def older(raw: dict[str, Any]) -> None:
        for name in ("files", "configuration", "code_version"):
            del raw[name]
        raw["schema_version"] = 1

    _signed(shop, folder, older)
    assert verify_release(folder, shop.public_key, "toy").outcome == "pass"
    _signed(shop, folder, lambda raw: raw.update(schema_version=2))
    with pytest.raises(ReleaseRefused, match="are missing"):
        verify_release(folder, shop.public_key, "toy")


def override_for(shop: Any, version: int, days: float = 7, **changes: Any) -> Override:
    now = datetime.now(UTC)
    fields = {
        "name": "toy",
        "version": version,
        "bundle_sha256": shop.bundle(version)[1],
        "reason": "the old one is worse",
        "by": "an operator",
        "created": now.isoformat(),
        "expires": (now + timedelta(days=days)).isoformat(),
    }
    return Override(**{**fields, **changes})


@pytest.fixture
def failed(shop: Any) -> Path:
    """A version whose verdict is a fail, staged by hand."""
    folder: Path = shop.stage(1)
    verdict = {"gate": "release", "outcome": "fail", "findings": [_finding("fail")]}
    write_release(folder, shop.manifest(1, verdict=verdict), shop.private_key)
    return folder


def test_override_lets_a_failed_version_through_and_shows(shop: Any, failed: Path) -> None:
    write_override(failed, override_for(shop, 1), shop.private_key)
    manifest = verify_release(failed, shop.public_key, "toy")
    assert manifest.outcome == "fail"
    assert manifest.override is not None
    assert manifest.override.reason == "the old one is worse"


def test_override_can_not_be_written_without_reason_or_future(shop: Any, failed: Path) -> None:
    for bad in (
        override_for(shop, 1, reason=" "),
        override_for(shop, 1, reason="fine\n  champion   version 9"),
        override_for(shop, 1, reason="fine\x1b[2J"),
        override_for(shop, 1, days=-1),
        override_for(shop, 1, expires="x"),
    ):
        with pytest.raises(OverrideProblem):
            write_override(failed, bad, shop.private_key)


def _rewrite(path: Path, **changes: Any) -> None:
    envelope = json.loads(path.read_bytes())
    envelope["record"] = json.dumps({**json.loads(envelope["record"]), **changes}, sort_keys=True)
    path.write_text(json.dumps(envelope))


@pytest.mark.parametrize(
    "attack", ["extended", "forged", "expired", "other version", "other bundle", "broken"]
)
def test_override_that_does_not_hold_is_refused(shop: Any, failed: Path, attack: str) -> None:
    path = failed / "override.json"
    record = override_for(shop, 1)
    if attack == "other version":
        record = override_for(shop, 2)
    elif attack == "other bundle":
        record = override_for(shop, 1, bundle_sha256="0" * 64)
    key = signing.ensure_key_pair(shop.root / "forger")[0] if attack == "forged" else shop.private_key
    write_override(failed, record, key)
    if attack == "extended":
        _rewrite(path, expires="2999-01-01T00:00:00+00:00")
    elif attack == "broken":
        path.write_text("[]")
    elif attack == "expired":
        signed = json.dumps(
            {**json.loads(json.loads(path.read_bytes())["record"]), "expires": "2001-01-01T00:00:00+00:00"}
        )
        signature = base64.b64encode(signing.sign(signed.encode(), shop.private_key, "override")).decode()
        path.write_text(json.dumps({"record": signed, "signature": signature}))
    with pytest.raises(ReleaseRefused, match="override"):
        verify_release(failed, shop.public_key, "toy")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"schema_version": 1}',
        b'{"schema_version": 2}',
        b"\xff",
    ],
)
def test_signed_nonsense_is_refused(shop: Any, content: bytes) -> None:
    folder = shop.stage(1)
    (folder / "release.json").write_bytes(content)
    (folder / "release.sig").write_bytes(signing.sign(content, shop.private_key, "release"))
    with pytest.raises(ReleaseRefused):
        verify_release(folder, shop.public_key, "toy")


def test_reasons_hold_no_paths(shop: Any) -> None:
    folder = shop.stage(1)
    for damaged in ("release.sig", "bundle/model.onnx", "bundle/manifest.json"):
        kept = (folder / damaged).read_bytes()
        (folder / damaged).unlink()
        with pytest.raises(ReleaseRefused) as refusal:
            verify_release(folder, shop.public_key, "toy")
        assert str(shop.root) not in str(refusal.value)
        (folder / damaged).write_bytes(kept)
