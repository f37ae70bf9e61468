"""Whether a registry and a release folder belong together: what binds them, and what tells them apart.

A signed pointer, digests of bundles and one random id: never version numbers, which every registry begins
at 1. Does not decide what is done about a registry that is another (`release.moves.adopt`).
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Literal

from model.bundle.plain_files import read_plain
from model.files import write_bytes
from release.registry.client import Registry, RegistryProblem
from release.registry.judgement import NotJudged, read_judgement
from serving.store.manifest import ReleaseRefused, signed_manifest
from serving.store.pointer import Pointer, PointerBroken, parse_pointer
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import KeySource

BOND_MOST_BYTES = 1024
"""Largest file that is read as an id."""
BOND_FILE = "registry.id"
"""File of the release folder with the id that the experiment carries as a tag."""

Standing = Literal["new", "same", "emptied", "other", "ahead"]
"""How a registry stands to a release folder. `new`: neither has a champion. `same`: they belong together.
`emptied`: they do, but the registered model was deleted. `other`: they do not. `ahead`: another release
folder promoted there since, with the key of this one."""


def standing(registry: Registry, folder: ReleaseFolder, public_key: Path, experiment: str) -> Standing:
    """How the registry stands to the release folder.

    Args:
        public_key: the key that pointers must be signed with.
        experiment: MLflow experiment that the project's runs are logged to.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    pointed, history = registry.pointed(), folder.pointers(public_key)
    text = pointed.pointer if pointed is not None else None
    theirs = signed_pointer(text, public_key, folder.name)
    if not history:
        return "new" if text is None else "other" if theirs is None else "ahead"
    here = history[0]
    if pointed is None:
        return "emptied" if same_store(registry, folder, experiment) else "other"
    # Two stories with one key have equal pointers, too, where their numbers are equal.
    if any(_differ(registry, folder, one.version, public_key) for one in (here, theirs) if one is not None):
        return "other"
    if theirs is not None:
        if theirs.sequence > here.sequence:
            return "ahead"
        # A pointer whose writing was cut short is in no history, and says nothing.
        if any(one.sequence == theirs.sequence for one in history):
            return "same" if theirs in history else "other"
    ours = released_bundle(folder, here.version, public_key)
    if ours and bundle_there(registry, folder, here.version, public_key) == ours:
        return "same"  # whatever else the registry has under numbers that were given here, too
    match agree(registry, folder, public_key):
        case "same":
            return "same"
        case "contradiction":
            return "other"
    # All of its versions were deleted there, or none is left here: the id decides, if there is one.
    known = [version for version in folder.versions() if released_bundle(folder, version, public_key)]
    return "same" if not known or same_store(registry, folder, experiment) else "other"


def bundle_there(registry: Registry, folder: ReleaseFolder, version: int, public_key: Path) -> str | None:
    """Digest of a version's bundle in the registry; None where there is no such version (any more).

    As its tag says. Any client may change that: where it is not what was released here under this number, the
    signed record of the version's verdict decides, if it can be read.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    ours, there = released_bundle(folder, version, public_key), registry.bundle_of(version)
    if not ours or there in (None, ours):
        return there
    try:
        return read_judgement(registry, public_key, version).bundle_sha256
    except (NotJudged, RegistryProblem):  # its run may be deleted
        return there


def mend_digests(registry: Registry, folder: ReleaseFolder, public_key: Path) -> list[int]:
    """Write the digest tags of released versions again that somebody changed or removed, where the signed
    records say what was released here; the versions.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    mended = []
    for version in folder.versions():
        ours = released_bundle(folder, version, public_key)
        if not ours or registry.bundle_of(version) == ours:
            continue
        if bundle_there(registry, folder, version, public_key) == ours:
            registry.set_bundle(version, ours)
            mended.append(version)
    return mended


def _differ(registry: Registry, folder: ReleaseFolder, version: int, public_key: Path) -> bool:
    """Whether registry and release folder have different bundles under one number."""
    ours, there = (
        released_bundle(folder, version, public_key),
        bundle_there(registry, folder, version, public_key),
    )
    return bool(ours) and there is not None and there != ours


def differing(registry: Registry, folder: ReleaseFolder, public_key: Path) -> list[int]:
    """Versions that are another bundle in the registry than the one that was released here.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    return [version for version, same in _in_both(registry, folder, public_key).items() if not same]


def agree(
    registry: Registry, folder: ReleaseFolder, public_key: Path
) -> Literal["same", "nothing in common", "contradiction"]:
    """Whether versions that are in both have the same bundles.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    both = _in_both(registry, folder, public_key)
    if not all(both.values()):
        return "contradiction"
    return "same" if both else "nothing in common"


def _in_both(registry: Registry, folder: ReleaseFolder, public_key: Path) -> dict[int, bool]:
    """Version that registry and release folder know → whether its bundle is the same."""
    found = {
        v: (released_bundle(folder, v, public_key), bundle_there(registry, folder, v, public_key))
        for v in folder.versions()
    }
    return {v: ours == theirs for v, (ours, theirs) in found.items() if ours and theirs is not None}


def signed_pointer(text: str | None, public_key: Path, name: str) -> Pointer | None:
    """The pointer in a registry's tag, if it was signed with this key for this project."""
    if text is None:
        return None
    try:
        return parse_pointer(text, public_key, name)
    except PointerBroken:
        return None


def released_bundle(folder: ReleaseFolder, version: int, keys: KeySource) -> str:
    """Digest of the bundle that was released as `version` here; empty where that is not known (any more).

    As the signed record says: one that is damaged, forged, or put there from another version or project says
    nothing.
    """
    try:
        signed = signed_manifest(folder.version_dir(version), keys)
    except ReleaseRefused:
        return ""
    return signed.bundle_sha256 if (signed.name, signed.version) == (folder.name, version) else ""


def bind(registry: Registry, folder: ReleaseFolder, experiment: str) -> None:
    """Give experiment and release folder one id, by which the store is known when its registered model was
    deleted. An id that only one of them has becomes the other's.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    here, there = _bond(folder), registry.experiment_bond(experiment)
    if there is None or not folder.path.is_dir():
        return
    bond = here or there or secrets.token_hex(16)
    if there != bond:
        registry.bind_experiment(experiment, bond)
    if here != bond:
        write_bytes(folder.path / BOND_FILE, bond.encode())


def is_bound(folder: ReleaseFolder) -> bool:
    """Whether the release folder has an id."""
    return bool(_bond(folder))


def _bond(folder: ReleaseFolder) -> str:
    try:
        return read_plain(folder.path / BOND_FILE, BOND_MOST_BYTES).decode("utf-8").strip()
    except (OSError, ValueError):
        return ""


def same_store(registry: Registry, folder: ReleaseFolder, experiment: str) -> bool:
    """Whether this is the store that the release folder was filled from, although it has no version of it.

    The experiment's id says so; in state folders of older versions, which have none, that the state folder's
    own store has the experiment.
    """
    there, here = registry.experiment_bond(experiment), _bond(folder)
    if there is None:
        return False
    return there == here if here else registry.spec.tracking_uri is None
