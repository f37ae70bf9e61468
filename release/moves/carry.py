"""Register again what serves, where the registry has lost it: under a new number, from the release folder.

The bundle and its verdict stay as they were judged; the number, and so the signatures, are new. Does not
judge anything, and does not ask whether the registry is the right one (`release.registry.bond`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from expectations.verdict import verdict_from_json
from model.files import read_json
from release.moves.contract import renumbered
from release.moves.move import Move, move
from release.registry.candidate import Candidate, card_figures, headline_figures
from release.registry.register import register_version
from release.releases import Releases
from serving.store.manifest import (
    BUNDLE_FOLDER,
    RELEASE_FILE,
    SIGNATURE_FILE,
    ReleaseManifest,
    ReleaseRefused,
    verify_release,
    verify_seen,
)
from serving.store.override import OVERRIDE_FILE


def carry_lost(releases: Releases) -> tuple[int | None, list[str]]:
    """Register the version that serves again if the registry has lost it; (version that serves afterwards,
    what was done). Call it with the lock held.

    A registry that belongs to another release folder stays as it is; so does a version that may not serve.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    serving = releases.serving()
    if serving is None or releases.standing() in ("other", "ahead") or releases.in_registry(serving):
        return serving, []
    try:
        number = carry(releases, serving)
    except ReleaseRefused:
        return serving, []
    return number, [f"the registry has lost version {serving}: it is registered again as version {number}"]


def carry(releases: Releases, version: int, *, after: int = 0) -> int:
    """Register a released version again and make it the champion under its new number, which is given.

    Args:
        after: sequence that the new pointer must exceed, besides that of the last one here.

    Raises:
        serving.store.manifest.ReleaseRefused: its copy in the release folder may not serve.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    where = releases.folder.version_dir(version)
    manifest = verify_release(where, releases.public_key, releases.name)
    seen = _seen(where, manifest)
    candidate = _candidate(releases, where, manifest, seen)
    number = register_version(releases.home, releases.name, releases.registry.spec, candidate).version
    configuration = renumbered(manifest.configuration, version, number)
    renewed = replace(manifest, version=number, sequence=number, override=None, configuration=configuration)
    override = None if manifest.override is None else replace(manifest.override, version=number)

    def change() -> int:
        folder = releases.folder
        try:
            staged = folder.stage(where / BUNDLE_FOLDER, renewed, releases.private_key, override, seen=seen)
            files = [staged / file for file in (RELEASE_FILE, SIGNATURE_FILE, OVERRIDE_FILE)]
            releases.registry.log_release(number, [file for file in files if file.is_file()])
            folder.promote(number, releases.private_key, after=after)
        except Exception:
            if releases.serving() != number:
                releases.drop(number)
            raise
        return number

    why = f"version {version}, registered again: the registry did not have it"
    move(
        releases,
        Move(kind="renumbering", version=number, begin_detail=why, end_detail=lambda _: why),
        change,
    )
    return number


def _seen(where: Path, manifest: ReleaseManifest) -> Path | None:
    try:
        return verify_seen(where, manifest)
    except ReleaseRefused:
        return None  # damaged: the version serves without it, and goes without it


def _candidate(releases: Releases, where: Path, manifest: ReleaseManifest, seen: Path | None) -> Candidate:
    """What was registered the first time, as far as the signed manifest and the bundle's card know it."""
    bundle, verdict = where / BUNDLE_FOLDER, verdict_from_json(manifest.verdict)
    made_by, card = manifest.configuration, read_json(bundle / "card.json")
    return Candidate(
        bundle=bundle,
        bundle_sha256=manifest.bundle_sha256,
        verdict=verdict,
        run_name=str(made_by.get("run") or f"version-{manifest.version}"),
        dataset=releases.home.data / manifest.dataset_fingerprint[:16],
        dataset_fingerprint=manifest.dataset_fingerprint,
        dataset_rows=manifest.evidence.get("rows") or {},
        code_digest=manifest.code_digest,
        params={key: made_by[key] for key in ("backbone", "train", "versions") if key in made_by},
        metrics={**card_figures(card), **headline_figures(verdict, list(card.get("heads", {})))},
        seen=seen,
        evidence=manifest.evidence,
        configuration=made_by,
    )
