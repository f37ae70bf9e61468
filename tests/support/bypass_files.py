"""Ways into traffic through the release folder: whoever may write files there, without the private key.

And mistakes of whoever has the key: what is signed by a careless release must still not serve when the
bundle is broken. Each way leaves things as the attacker wants them and returns.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from serving.store import signing
from serving.store.manifest import ReleaseRefused, write_release
from serving.store.override import OVERRIDE_FILE, Override, OverrideProblem, write_override
from serving.store.pointer import Pointer, write_pointer
from serving.store.release_folder import PromotionRefused
from tests.support.bypass_world import EVIL, World
from tests.support.toy_bundle import NAME

FAILED: dict[str, Any] = {
    "gate": "release",
    "outcome": "pass",
    "findings": [{"subject": "mood", "outcome": "fail", "reason": "worse", "figures": {}}],
}
"""A verdict that says `pass` and whose finding does not."""


def _tampered(change: Callable[[World, Path], None]) -> Callable[[World], None]:
    """Version 2 is released by the rules, then `change` is done to its folder before the endpoint looks."""

    def attack(world: World) -> None:
        with world.held():
            folder = world.released()
            change(world, folder)

    return attack


def _signed(change: Callable[[World, Path], None]) -> Callable[[World], None]:
    """As `_tampered`, and sealed and signed again with the project's key: a careless release."""

    def changed(world: World, folder: Path) -> None:
        change(world, folder / "bundle")
        digest = world.seal(folder / "bundle")
        write_release(folder, world.manifest(2, 2, bundle_sha256=digest), world.private_key)

    return _tampered(changed)


def _forger(world: World) -> Path:
    """Private key of somebody else."""
    return signing.ensure_key_pair(world.place / "forger")[0]


def _bit_flipped(world: World, folder: Path) -> None:
    data = bytearray((folder / "bundle" / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 4
    (folder / "bundle" / "model.onnx").write_bytes(bytes(data))


def _graph_swapped(world: World, folder: Path) -> None:
    shutil.copy(world.bundle(EVIL)[0] / "model.onnx", folder / "bundle" / "model.onnx")


def _bundle_swapped(world: World, folder: Path) -> None:
    shutil.rmtree(folder / "bundle")
    shutil.copytree(world.bundle(EVIL)[0], folder / "bundle")


def _truncated(world: World, folder: Path) -> None:
    path = folder / "bundle" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-9])


def _card(change: Callable[[dict[str, Any]], None]) -> Callable[[World, Path], None]:
    def changed(world: World, bundle: Path) -> None:
        card = json.loads((bundle / "card.json").read_bytes())
        change(card["heads"])
        (bundle / "card.json").write_text(json.dumps(card))

    return changed


def _in_folder(change: Callable[[World, Path], None]) -> Callable[[World, Path], None]:
    return lambda world, folder: change(world, folder / "bundle")


edited_thresholds = _card(lambda heads: heads["topics"].update(thresholds=[0.01, 0.99]))
permuted_labels = _card(lambda heads: heads["mood"]["labels"].reverse())
head_missing = _card(lambda heads: heads.pop("topics"))


def _golden_removed(world: World, folder: Path) -> None:
    (folder / "bundle" / "golden.json").unlink()


def _extra_file(world: World, folder: Path) -> None:
    (folder / "bundle" / "plugin.py").write_text("raise SystemExit")


def _linked_graph(world: World, folder: Path) -> None:
    (folder / "bundle" / "model.onnx").unlink()
    (folder / "bundle" / "model.onnx").symlink_to(world.bundle(EVIL)[0] / "model.onnx")


def linked_bundle(world: World, folder: Path) -> None:
    """The true bundle behind a link, which can be turned elsewhere after it was verified."""
    shutil.move(folder / "bundle", world.place / "elsewhere")
    (folder / "bundle").symlink_to(world.place / "elsewhere")


def _linked_version(world: World, folder: Path) -> None:
    shutil.move(folder, world.place / "elsewhere-2")
    folder.symlink_to(world.place / "elsewhere-2")


def _unsigned(world: World, folder: Path) -> None:
    (folder / "release.sig").unlink()


def _swapped_signature(world: World, folder: Path) -> None:
    shutil.copy(world.folder.version_dir(1) / "release.sig", folder / "release.sig")


def replayed_manifest(world: World, folder: Path) -> None:
    """Version 1's manifest and signature over an ungated bundle."""
    for name in ("release.json", "release.sig"):
        shutil.copy(world.folder.version_dir(1) / name, folder / name)
    _bundle_swapped(world, folder)


def _forged_manifest(world: World, folder: Path) -> None:
    _bundle_swapped(world, folder)
    write_release(folder, world.manifest(2, EVIL), _forger(world))


def forged_with_its_key(world: World, folder: Path) -> None:
    """Everything signed with another key, and the public key exchanged for that one."""
    private = _forger(world)
    _bundle_swapped(world, folder)
    write_release(folder, world.manifest(2, EVIL), private)
    now = world.folder.pointer(world.public_key)
    assert now is not None
    shutil.copy(private.with_name(signing.PUBLIC_KEY), world.public_key)
    write_pointer(world.folder.pointer_path, dataclasses.replace(now, sequence=99), private)


def edited_verdict(world: World, folder: Path) -> None:
    """A version that failed, its manifest signed as failed, then edited to a pass."""
    _bundle_swapped(world, folder)
    write_release(folder, world.manifest(2, EVIL, verdict=FAILED), world.private_key)
    text = (folder / "release.json").read_text().replace('"outcome": "fail"', '"outcome": "pass"')
    (folder / "release.json").write_text(text)


def lying_verdict(world: World, folder: Path) -> None:
    """Signed, and the stored word is `pass`; the finding behind it is not."""
    _bundle_swapped(world, folder)
    write_release(folder, world.manifest(2, EVIL, verdict=FAILED), world.private_key)


def _empty_verdict(world: World, folder: Path) -> None:
    _bundle_swapped(world, folder)
    nothing = {"gate": "release", "outcome": "pass", "findings": []}
    write_release(folder, world.manifest(2, EVIL, verdict=nothing), world.private_key)


def other_project(world: World, folder: Path) -> None:
    """A release that was signed for another project with the same key."""
    _bundle_swapped(world, folder)
    write_release(folder, world.manifest(2, EVIL, name="other"), world.private_key)


def _nan_weight(world: World, bundle: Path) -> None:
    _weights(bundle, lambda table: np.where(table == table[5, 0], np.nan, table))


def _wrong_answers(world: World, bundle: Path) -> None:
    shutil.copy(world.bundle(EVIL)[0] / "model.onnx", bundle / "model.onnx")


def tolerant_golden(world: World, bundle: Path) -> None:
    """A golden set that agrees with anything, over another graph."""
    _wrong_answers(world, bundle)
    golden = json.loads((bundle / "golden.json").read_bytes())
    (bundle / "golden.json").write_text(json.dumps({**golden, "tolerance": 0.49}))


def _weights(bundle: Path, change: Callable[[Any], Any]) -> None:
    model = onnx.load(bundle / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "table_mood":
            made = change(numpy_helper.to_array(tensor).copy()).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(made, tensor.name))
    (bundle / "model.onnx").write_bytes(model.SerializeToString())


def _planted(world: World, seed: int = EVIL) -> Path:
    """A version 2 that was never registered, in the folder, without a signature."""
    folder = world.folder.version_dir(2)
    folder.mkdir(parents=True)
    shutil.copytree(world.bundle(seed)[0], folder / "bundle")
    return folder


def _edited_pointer(world: World) -> None:
    _planted(world)
    raw = json.loads(world.folder.pointer_path.read_text())
    world.folder.pointer_path.write_text(json.dumps({**raw, "version": 2, "sequence": 2, "approval": 2}))


def _forged_pointer(world: World) -> None:
    write_release(_planted(world), world.manifest(2, EVIL), _forger(world))
    pointer = Pointer(name=NAME, version=2, sequence=9, approval=9, previous=1)
    write_pointer(world.folder.pointer_path, pointer, _forger(world))


def _other_projects_pointer(world: World) -> None:
    write_release(_planted(world), world.manifest(2, EVIL), _forger(world))
    pointer = Pointer(name="other", version=2, sequence=9, approval=9)
    write_pointer(world.folder.pointer_path, pointer, world.private_key)


def replayed_pointer(world: World) -> None:
    """Version 2 is approved and rolled back from; then the pointer that named it is put back."""
    with world.held():
        world.released()
        old = world.folder.pointer_path.read_bytes()
        world.folder.roll_back(world.private_key, 1)
        world.folder.pointer_path.write_bytes(old)


def _point_at_2(world: World) -> None:
    """A pointer to version 2, signed with the project's key: what no code of ours would do."""
    pointer = Pointer(name=NAME, version=2, sequence=2, approval=2, previous=1)
    write_pointer(world.folder.pointer_path, pointer, world.private_key)


def staged_past_the_gate(world: World) -> None:
    """Our own code asked to stage and point at a version that failed; then both done by hand with its key."""
    bundle, _ = world.bundle(EVIL)
    with world.refused(ReleaseRefused):
        world.folder.stage(bundle, world.manifest(2, EVIL, verdict=FAILED), world.private_key)
    with world.refused(ReleaseRefused, PromotionRefused):
        world.folder.promote(2, world.private_key)
    with world.held():
        write_release(_planted(world), world.manifest(2, EVIL, verdict=FAILED), world.private_key)
        _point_at_2(world)


def infinite_figure(world: World) -> None:
    """A verdict whose figure is infinite, as MLflow would store it (1.8e308 passes a `>=`): our own code will
    not write it; then it is written and signed by hand with its key."""
    finding = {"subject": "mood", "outcome": "pass", "reason": "", "figures": {"difference": float("inf")}}
    manifest = world.manifest(2, EVIL, verdict={"gate": "release", "findings": [finding]})
    with world.refused(ReleaseRefused, ValueError):
        world.folder.stage(world.bundle(EVIL)[0], manifest, world.private_key)
    with world.held():
        folder = _planted(world)
        raw = json.loads(world.manifest(2, EVIL).to_bytes()) | {"verdict": manifest.verdict}
        data = json.dumps(raw).encode()
        (folder / "release.json").write_bytes(data)
        (folder / "release.sig").write_bytes(signing.sign(data, world.private_key, "release"))
        _point_at_2(world)


def given_override(world: World, hours: float, **changes: Any) -> Override:
    """An override of version 2, made of the ungated bundle, that holds for so many hours."""
    now = datetime.now(UTC)
    made = Override(
        name=NAME,
        version=2,
        bundle_sha256=world.bundle(EVIL)[1],
        reason="demonstration",
        by="operator",
        created=now.isoformat(),
        expires=(now + timedelta(hours=hours)).isoformat(),
    )
    return dataclasses.replace(made, **changes)


def _overridden(change: Callable[[World, Path], None]) -> Callable[[World], None]:
    """Version 2 failed its gates and is signed as such; `change` writes an override beside it, and the
    pointer names it, signed by the project's key."""

    def attack(world: World) -> None:
        with world.held():
            folder = _planted(world)
            write_release(folder, world.manifest(2, EVIL, verdict=FAILED), world.private_key)
            with world.refused(OverrideProblem):
                change(world, folder)
            _point_at_2(world)

    return attack


def expired_override(world: World, folder: Path) -> None:
    """Signed while it was valid, its time over since; written a second time by our own code, refused."""
    made = given_override(world, 1)
    write_override(folder, made, world.private_key)
    over = dataclasses.replace(made, expires=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
    record = json.dumps(dataclasses.asdict(over), sort_keys=True)
    signature = signing.sign(record.encode(), world.private_key, "override")
    envelope = {"record": record, "signature": base64.b64encode(signature).decode()}
    (folder / OVERRIDE_FILE).write_text(json.dumps(envelope))
    write_override(folder, over, world.private_key)


def _forged_override(world: World, folder: Path) -> None:
    write_override(folder, given_override(world, 24), _forger(world))


def prolonged_override(world: World, folder: Path) -> None:
    """A valid record whose end was moved in the file."""
    write_override(folder, given_override(world, 24), world.private_key)
    path = folder / OVERRIDE_FILE
    envelope = json.loads(path.read_text())
    record = json.loads(envelope["record"])
    record["expires"] = "2099-01-01T00:00:00+00:00"
    path.write_text(json.dumps({**envelope, "record": json.dumps(record, sort_keys=True)}))


def borrowed_override(world: World, folder: Path) -> None:
    """A valid override that was given for other bytes."""
    write_override(folder, given_override(world, 24, bundle_sha256=world.bundle(1)[1]), world.private_key)


def swapped_while_loading(world: World) -> None:
    """The graph is exchanged over and over, between its verification and its loading if luck will have it."""
    with world.held():
        folder = world.released()
        graph = folder / "bundle" / "model.onnx"
        good, evil = graph.read_bytes(), (world.bundle(EVIL)[0] / "model.onnx").read_bytes()
    for turn in range(60):
        beside = graph.with_name(f".{turn}")
        beside.write_bytes(good if turn % 2 else evil)
        beside.replace(graph)
    graph.write_bytes(evil)


WAYS: dict[str, Callable[[World], None]] = {
    "file changed after the gate: a bit flipped": _tampered(_bit_flipped),
    "file changed after the gate: graph of an ungated model": _tampered(_graph_swapped),
    "file changed after the gate: graph truncated": _tampered(_truncated),
    "whole bundle exchanged for an ungated one": _tampered(_bundle_swapped),
    "thresholds edited in the card": _tampered(_in_folder(edited_thresholds)),
    "label order permuted in the card": _tampered(_in_folder(permuted_labels)),
    "golden file removed": _tampered(_golden_removed),
    "code put into the bundle": _tampered(_extra_file),
    "symlinked graph": _tampered(_linked_graph),
    "symlinked bundle": _tampered(linked_bundle),
    "symlinked version folder": _tampered(_linked_version),
    "signature removed": _tampered(_unsigned),
    "signature of another version": _tampered(_swapped_signature),
    "manifest and signature of another version replayed": _tampered(replayed_manifest),
    "manifest forged with another key": _tampered(_forged_manifest),
    "another key, and the public key exchanged": _tampered(forged_with_its_key),
    "verdict edited from fail to pass": _tampered(edited_verdict),
    "verdict says pass, its findings do not": _tampered(lying_verdict),
    "verdict without findings": _tampered(_empty_verdict),
    "release signed for another project": _tampered(other_project),
    "careless release: weight is NaN": _signed(_nan_weight),
    "careless release: another graph, golden set kept": _signed(_wrong_answers),
    "careless release: golden set tolerates anything": _signed(tolerant_golden),
    "careless release: labels permuted": _signed(permuted_labels),
    "careless release: a head missing": _signed(head_missing),
    "pointer edited by hand": _edited_pointer,
    "pointer signed with another key": _forged_pointer,
    "pointer of another project": _other_projects_pointer,
    "older pointer put back": replayed_pointer,
    "failed version staged, by our own code and by hand": staged_past_the_gate,
    "infinite figure in the verdict": infinite_figure,
    "override expired": _overridden(expired_override),
    "override forged": _overridden(_forged_override),
    "override prolonged by hand": _overridden(prolonged_override),
    "override given for other bytes": _overridden(borrowed_override),
    "graph exchanged while it is loaded": swapped_while_loading,
}
"""What is tried → how."""
