"""Versions that must never serve: each way to spoil a staged version of the toy model, by name.

Each function takes the shop, the version's folder and its number, and changes what lies there as a broken
disk, a careless release or somebody with write access would. Does not move the pointer.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from serving.store import signing
from serving.store.manifest import write_release
from tests.support.toy_bundle import Shop, work_of, write_bundle

Spoil = Callable[[Shop, Path, int], None]


def _bit_flipped(shop: Shop, folder: Path, version: int) -> None:
    data = bytearray((folder / "bundle" / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 4
    (folder / "bundle" / "model.onnx").write_bytes(bytes(data))


def _truncated(shop: Shop, folder: Path, version: int) -> None:
    path = folder / "bundle" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-7])


def _unsigned(shop: Shop, folder: Path, version: int) -> None:
    (folder / "release.sig").unlink()


def _forged(shop: Shop, folder: Path, version: int) -> None:
    write_release(folder, shop.manifest(version), signing.ensure_key_pair(shop.root / "forger")[0])


def _failed(shop: Shop, folder: Path, version: int) -> None:
    verdict = {"gate": "release", "outcome": "pass", "findings": [{"outcome": "fail"}]}
    write_release(folder, shop.manifest(version, verdict=verdict), shop.private_key)


def _replayed(shop: Shop, folder: Path, version: int) -> None:
    for name in ("release.json", "release.sig"):
        shutil.copy(shop.folder.version_dir(1) / name, folder / name)


def _other_name(shop: Shop, folder: Path, version: int) -> None:
    write_release(folder, shop.manifest(version, name="other"), shop.private_key)


def _gone(shop: Shop, folder: Path, version: int) -> None:
    shutil.rmtree(folder)


def _resealed(shop: Shop, folder: Path, version: int) -> None:
    """What a careless release would sign: the gates were passed, then the bundle was changed."""
    digest = shop.seal(folder / "bundle")
    write_release(folder, shop.manifest(version, bundle_sha256=digest), shop.private_key)


def _nan_weight(shop: Shop, folder: Path, version: int) -> None:
    path = folder / "bundle" / "model.onnx"
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name == "table_mood":
            table = numpy_helper.to_array(tensor).copy()
            table[5, 0] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(table, tensor.name))
    path.write_bytes(model.SerializeToString())
    _resealed(shop, folder, version)


def _wrong_answers(shop: Shop, folder: Path, version: int) -> None:
    other = shop.root / "others" / str(version)
    write_bundle(other, seed=version + 1_000_000)
    shutil.copy(other / "model.onnx", folder / "bundle" / "model.onnx")
    _resealed(shop, folder, version)


def _permuted_labels(shop: Shop, folder: Path, version: int) -> None:
    path = folder / "bundle" / "card.json"
    card = json.loads(path.read_bytes())
    card["heads"]["mood"]["labels"].reverse()
    path.write_text(json.dumps(card))
    _resealed(shop, folder, version)


def _head_missing(shop: Shop, folder: Path, version: int) -> None:
    path = folder / "bundle" / "card.json"
    card = json.loads(path.read_bytes())
    del card["heads"]["topics"]
    path.write_text(json.dumps(card))
    _resealed(shop, folder, version)


def _tolerant(shop: Shop, folder: Path, version: int) -> None:
    path = folder / "bundle" / "golden.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "tolerance": 0.4}))
    _resealed(shop, folder, version)


def _slow(shop: Shop, folder: Path, version: int) -> None:
    bundle = folder / "bundle"
    shutil.rmtree(bundle)
    write_bundle(bundle, seed=version, work=work_of(3 * SLOW_MS))
    write_release(folder, shop.manifest(version, bundle_sha256=shop.seal(bundle)), shop.private_key)


SLOW_MS = 15.0
"""What one text may take, in milliseconds, where slow versions are to be refused; others take 0.2."""

ROTTEN: Mapping[str, Spoil] = {
    "bit flipped": _bit_flipped,
    "truncated": _truncated,
    "head missing": _head_missing,
    "NaN": _nan_weight,
    "labels permuted": _permuted_labels,
    "unsigned": _unsigned,
    "forged": _forged,
    "replayed": _replayed,
    "failed its gates": _failed,
    "of another model": _other_name,
    "gone": _gone,
    "answers of another": _wrong_answers,
    "too tolerant": _tolerant,
}
"""Name → how to spoil a version; refused by any endpoint."""
SLOW: Mapping[str, Spoil] = {"slow": _slow}
"""Refused by an endpoint whose `max_answer_ms` is `SLOW_MS`."""
