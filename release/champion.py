"""The model that serves now, as the release folder has it: what a candidate is compared with.

Reads the local, verified copy, not the registry: a registry that is down must not make a worse model
ship. Does not change anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expectations.scored_rows import DATASET_TABLE
from expectations.seen_texts import first_seen_bytes, is_older, seen_bytes
from model.files import file_sha256
from model.jobs.package import describe_bundle
from model.references import BundleRef, SeenRef
from release.home import Home
from release.keys import public_key as public_key_of
from release.pointed import last_pointer, was_withdrawn
from release.registry.candidate import INPUTS_EVIDENCE
from serving.shown import one_line
from serving.store.manifest import ReleaseManifest, read_file, verify_release, verify_seen
from serving.store.release_folder import ReleaseFolder
from sources.dataset import content_fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionRef:
    """The version that serves."""

    version: int
    """Registered version."""
    bundle: BundleRef
    profile: Mapping[str, Any]
    """Profile of the data that it was trained on; empty if its bundle carries none."""
    seen: SeenRef | None = None
    """The texts that it was trained on; none where that is not known."""
    verdict: Mapping[str, Any] = field(default_factory=dict)
    """Its release verdict as JSON."""
    override: str = ""
    """By whose override it serves, until when and why; empty where it passed its gates."""
    inputs: str = ""
    """Digest of what it was made and judged of, as signed; empty where an older Headgate made it."""


def current_champion(home: Home, name: str) -> ChampionRef | None:
    """The version that the release folder points at, verified; None before the first deployment.

    Raises:
        release.pointed.ChampionUnverified: something serves, and it can't be verified what: the key was
            exchanged, or no pointer is whole.
        serving.store.manifest.ReleaseRefused: the version that is pointed at, or the list of the texts that
            it was trained on, was changed since it was signed.
    """
    public_key = public_key_of(home, name)
    folder = ReleaseFolder(home.releases(name), name)
    pointer = last_pointer(home, folder, public_key)
    if pointer is None:
        return None
    where = folder.version_dir(pointer.version)
    if not where.is_dir() and was_withdrawn(home, name):
        return None
    manifest = verify_release(where, public_key, name)
    override = manifest.override
    return ChampionRef(
        version=pointer.version,
        bundle=describe_bundle(where / "bundle"),
        override=""
        if override is None
        else one_line(f"by override of {override.by} until {override.expires}: {override.reason}"),
        inputs=str(manifest.evidence.get(INPUTS_EVIDENCE, "")),
        verdict=manifest.verdict,
        profile=json.loads(read_file(where / "bundle" / "card.json")).get("data_profile") or {},
        seen=_seen(home, where, manifest),
    )


def _seen(home: Home, version_dir: Path, manifest: ReleaseManifest) -> SeenRef | None:
    """What a version was trained on: its own list, else, where an older Headgate made that or it is lost, its
    dataset's table, as long as that is kept."""
    path = verify_seen(version_dir, manifest)
    listed = None
    if path is not None:
        listed = SeenRef(path=str(path), sha256=manifest.seen_sha256, version=manifest.version)
        if not is_older(path):
            return listed
    if not manifest.dataset_fingerprint:
        return listed
    for folder in sorted(home.data.glob(f"{manifest.dataset_fingerprint[:16]}*")):
        # The fingerprint was signed; what lies there now must still have it.
        if content_fingerprint(folder) != manifest.dataset_fingerprint:
            continue
        if not manifest.seen_sha256 or manifest.seen_sha256 in _digests(folder):
            table = folder / DATASET_TABLE
            return SeenRef(path=str(table), sha256=file_sha256(table), version=manifest.version)
    return listed


def _digests(dataset: Path) -> Iterator[str]:
    """sha256 of the list that this version, and that an older one makes of a dataset."""
    for made in (seen_bytes, first_seen_bytes):
        yield hashlib.sha256(made(dataset)).hexdigest()
