"""The model that serves now, as the release folder has it: what a candidate is compared with.

Reads the local, verified copy, not the registry: a registry that is down must not make a worse model
ship. Does not change anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from model.jobs.package import describe_bundle
from model.references import BundleRef
from release.home import Home
from release.keys import public_key as public_key_of
from serving.store.manifest import verify_release
from serving.store.release_folder import ReleaseFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionRef:
    """The version that serves."""

    version: int
    """Registered version."""
    bundle: BundleRef
    profile: Mapping[str, Any]
    """Profile of the data that it was trained on; empty if its bundle carries none."""
    verdict: Mapping[str, Any] = field(default_factory=dict)
    """Its release verdict as JSON."""
    override: str = ""
    """By whose override it serves, until when and why; empty where it passed its gates."""


def current_champion(home: Home, name: str) -> ChampionRef | None:
    """The version that the release folder points at, verified; None before the first deployment.

    Raises:
        serving.store.manifest.ReleaseRefused: the version that is pointed at was changed since it was signed.
    """
    public_key = public_key_of(home, name)
    folder = ReleaseFolder(home.releases(name), name)
    if not public_key.is_file() or not folder.versions():
        return None
    pointer = folder.latest_pointer(public_key)
    if pointer is None or not folder.version_dir(pointer.version).is_dir():
        return None  # never deployed, or withdrawn since
    where = folder.version_dir(pointer.version)
    manifest = verify_release(where, public_key, name)
    override = manifest.override
    return ChampionRef(
        version=pointer.version,
        bundle=describe_bundle(where / "bundle"),
        override=""
        if override is None
        else f"by override of {override.by} until {override.expires}: {override.reason}",
        verdict=manifest.verdict,
        profile=json.loads((where / "bundle" / "card.json").read_text()).get("data_profile") or {},
    )
