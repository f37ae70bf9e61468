"""Promote an approved version: sign, stage, log the release, move the pointer, move the aliases.

Takes an `ApprovedVersion`, which only a passing verdict can make, or an override that a person answers
for. Whether the endpoint then serves it is for `release.targets.deploy`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from expectations.contract.consent import Change
from expectations.verdict import ApprovedVersion
from model.faults import fault
from model.files import unfinished_prefix
from release.home import Home
from release.journal import Entry
from release.moves.compared import uncompared
from release.moves.contract import answered, beside_serving, refuse_losses, with_dropped_heads
from release.moves.move import Move, move
from release.moves.unfinished import finish_moves
from release.registry.candidate import CODE_EVIDENCE, FINGERPRINT_EVIDENCE
from release.registry.client import BUNDLE_TAG, CODE_TAG, DATASET_TAG, VERDICT_TAG
from release.registry.judgement import Judgement
from release.releases import Releases, open_releases
from release.spec import RegistrySpec
from serving.store.manifest import (
    RELEASE_FILE,
    SIGNATURE_FILE,
    ReleaseManifest,
    ReleaseRefused,
    verify_release,
)
from serving.store.override import OVERRIDE_FILE, Override
from serving.store.release_folder import PromotionRefused

PROMOTING = "promoting"
"""Name of the temporary folder of a promotion, in front of the process's id."""


class Overtaken(PromotionRefused):
    """What serves changed since the version was judged; it stays a candidate. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What a promotion moved."""

    version: int
    """Version that the alias `champion` names now."""
    former: int | None
    """Version that it named before."""


def promote_version(
    home: Home,
    name: str,
    spec: RegistrySpec,
    approved: ApprovedVersion,
    *,
    bundle: Path,
    evidence: Mapping[str, Any] | None = None,
    configuration: Mapping[str, Any] | None = None,
) -> Promotion:
    """Make an approved version the champion of project `name`.

    Args:
        home: the state folder.
        name: project.
        spec: its registry.
        approved: what a passing verdict made.
        bundle: the folder that was judged; its digest must be the approved one.
        evidence: figures behind the verdict, signed with it; finite.
        configuration: what it was made and judged by, signed too.

    Raises:
        Overtaken: a newer version was promoted meanwhile, or another champion serves than the one that it was
            compared with.
        release.moves.contract.ContractBroken: clients would lose what nobody consented to.
        serving.store.release_folder.PromotionRefused: the registry has another record of this version.
        serving.store.manifest.ReleaseRefused: the bundle is not the one that was judged.
        release.releases.OtherRegistry: the registry belongs to another release folder.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    releases = open_releases(home, name, spec)
    with releases.locked():
        releases.refuse_other_registry()
        releases.mend_digests()
        finish_moves(releases)
        try:
            tags = _check(releases, approved)
            if why := uncompared(releases, approved.version, evidence or {}):
                raise Overtaken(why)
            refuse_losses(releases, approved.version, bundle, configuration or {})
        except PromotionRefused as error:
            releases.journal.append(
                Entry(event="promotion refused", version=approved.version, detail=str(error))
            )
            raise
        manifest = _manifest(releases, approved, tags, evidence or {}, configuration or {})
        manifest = _remembering(releases, manifest, bundle)
        if releases.serving() == approved.version and _passed(releases, approved):
            releases.align()
            return Promotion(version=approved.version, former=approved.version)
        return _move(releases, manifest, bundle)


def promote_overridden(
    home: Home,
    name: str,
    spec: RegistrySpec,
    judged: Judgement,
    override: Override,
    *,
    bundle: Path,
    allow: Sequence[Change] = (),
) -> Promotion:
    """Make a version whose verdict is not a pass the champion of project `name`, for a while.

    Args:
        home: the state folder.
        name: project.
        spec: its registry.
        judged: how the version was judged; read from its signed record.
        override: who lets it serve, why and how long; signed here.
        bundle: the folder that was judged.
        allow: what clients may lose beyond what the configuration allows. The override's reason says it.

    Raises:
        serving.store.override.OverrideProblem: it gives no reason or has expired already.
        Overtaken: a newer version was promoted already.
        release.moves.contract.ContractBroken: clients would lose what nobody consented to.
        serving.store.manifest.ReleaseRefused: the bundle is not the one that was judged.
        release.releases.OtherRegistry: the registry belongs to another release folder.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    releases = open_releases(home, name, spec)
    with releases.locked():
        releases.refuse_other_registry()
        finish_moves(releases)
        tags = releases.registry.version_tags(judged.version)
        _refuse_older(releases, judged.version)
        refuse_losses(releases, judged.version, bundle, judged.configuration, allow)
        manifest = _manifest(releases, judged, tags, judged.evidence, judged.configuration)
        manifest = _remembering(releases, manifest, bundle, allow)
        return _move(releases, manifest, bundle, override)


def _passed(releases: Releases, approved: ApprovedVersion) -> bool:
    """Whether what is released under the version's number is this very bundle, by its verdict and not by an
    override."""
    try:
        there = verify_release(
            releases.folder.version_dir(approved.version), releases.public_key, releases.name
        )
    except ReleaseRefused:
        return False
    return there.override is None and there.bundle_sha256 == approved.bundle_sha256


def _move(
    releases: Releases, manifest: ReleaseManifest, bundle: Path, override: Override | None = None
) -> Promotion:
    """Stage the version and move the pointer to it."""
    version, by = manifest.version, _by(override)
    former = releases.serving()

    def change() -> int:
        try:
            _stage(releases, manifest, bundle, override)
            releases.folder.promote(version, releases.private_key)
            # Where the pointer named it before (an override is renewed), so that endpoints look again.
            os.utime(releases.folder.pointer_path)
        except Exception:
            if releases.serving() != version:
                releases.drop(version)
            raise
        return version

    def place(before: int | None) -> str:
        return (f"in place of version {before}" if before else "the first one") + by

    begin = by.removeprefix("; ")
    move(releases, Move(kind="promotion", version=version, begin_detail=begin, end_detail=place), change)
    return Promotion(version=version, former=former)


def _by(override: Override | None) -> str:
    if override is None:
        return ""
    return f"; by override of {override.by} until {override.expires}: {override.reason}"


def _manifest(
    releases: Releases,
    judged: ApprovedVersion | Judgement,
    tags: Mapping[str, str],
    evidence: Mapping[str, Any],
    configuration: Mapping[str, Any],
) -> ReleaseManifest:
    return ReleaseManifest(
        name=releases.name,
        version=judged.version,
        # Versions are numbered in the order in which they are registered, and so approved.
        sequence=judged.version,
        bundle_sha256=judged.bundle_sha256,
        verdict=judged.verdict.to_json(),
        evidence=dict(evidence),
        dataset_fingerprint=str(evidence.get(FINGERPRINT_EVIDENCE) or tags.get(DATASET_TAG, "")),
        code_digest=str(evidence.get(CODE_EVIDENCE) or tags.get(CODE_TAG, "")),
        code_version=version("headgate"),
        configuration=dict(configuration),
    )


def _remembering(
    releases: Releases, manifest: ReleaseManifest, bundle: Path, allow: Sequence[Change] = ()
) -> ReleaseManifest:
    """The manifest with the heads that clients knew and that the version does not answer."""
    contract = beside_serving(releases, bundle, manifest.configuration, allow)
    return replace(
        manifest, configuration=with_dropped_heads(releases, manifest, contract, answered(bundle) or ())
    )


def _stage(releases: Releases, manifest: ReleaseManifest, bundle: Path, override: Override | None) -> None:
    with tempfile.TemporaryDirectory(
        prefix=unfinished_prefix(PROMOTING), dir=releases.home.cache
    ) as temporary:
        # From the registry, where a promotion by hand, days later, has to take it from, too.
        seen = None
        if manifest.seen_sha256:
            seen = releases.registry.download_seen(manifest.version, Path(temporary))
        staged = releases.folder.stage(bundle, manifest, releases.private_key, override, seen=seen)
    fault("staged")
    files = [staged / file for file in (RELEASE_FILE, SIGNATURE_FILE)]
    releases.registry.log_release(
        manifest.version, files if override is None else [*files, staged / OVERRIDE_FILE]
    )
    fault("release_logged")


def _check(releases: Releases, approved: ApprovedVersion) -> dict[str, str]:
    """Tags of the version, which must agree with the approval."""
    if approved.name != releases.registry.model:
        raise PromotionRefused(
            f"version {approved.version} of {approved.name!r} is not a version of {releases.registry.model!r}"
        )
    tags = releases.registry.version_tags(approved.version)
    for tag, expected in ((VERDICT_TAG, "pass"), (BUNDLE_TAG, approved.bundle_sha256)):
        if tags.get(tag) != expected:
            raise PromotionRefused(
                f"version {approved.version} of {approved.name!r}: the registry's tag {tag} is "
                f"{tags.get(tag)!r}, expected {expected!r}; somebody changed it. Register the model again"
            )
    _refuse_older(releases, approved.version)
    return tags


def _refuse_older(releases: Releases, version: int) -> None:
    now = releases.pointer()
    if now is not None and now.version != version and version <= now.approval:
        raise Overtaken(
            f"version {version} of {releases.name!r} is older than version {now.approval}, which "
            "was promoted already; if it served before, roll back to it, else run `headgate retrain`"
        )
