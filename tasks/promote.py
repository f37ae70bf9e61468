"""Promote an approved version: sign, stage, tell the registry, move the pointer, move the aliases.

Takes an `ApprovedVersion`, which only a passing verdict can make. Whether the endpoint then serves it
is for `tasks.deploy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.verdict import ApprovedVersion
from model.faults import fault
from serving.manifest import RELEASE_FILE, SIGNATURE_FILE, ReleaseManifest
from serving.release_folder import PromotionRefused
from tasks.home import Home
from tasks.journal import Entry, new_operation
from tasks.progress import Step
from tasks.registry import BUNDLE_TAG, CODE_TAG, DATASET_TAG, VERDICT_TAG
from tasks.releases import Releases, open_releases
from tasks.settle import settle
from tasks.spec import RegistrySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What a promotion moved."""

    version: int
    """Version that the alias `champion` names now."""
    former: int | None
    """Version that it named before."""


@task(name="promote", cache_policy=NO_CACHE, persist_result=False)
def promote(
    home: Home,
    name: str,
    spec: RegistrySpec,
    approved: ApprovedVersion,
    *,
    bundle: Path,
    evidence: Mapping[str, Any],
    configuration: Mapping[str, Any],
) -> Promotion:
    """Make an approved version the champion of project `name`.

    Raises:
        serving.release_folder.PromotionRefused: a newer version was promoted meanwhile, or the registry
            has another record of this one.
        serving.manifest.ReleaseRefused: the bundle is not the one that was judged.
        tasks.registry.RegistryProblem: the registry can't be reached.
    """
    with Step("promote") as step:
        done = promote_version(
            home, name, spec, approved, bundle=bundle, evidence=evidence, configuration=configuration
        )
        step.outcome = f"version {done.version}, before: {done.former or 'none'}"
    return done


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
    """As `promote`, without Prefect.

    Args:
        home: the state folder.
        name: project.
        spec: its registry.
        approved: what a passing verdict made.
        bundle: the folder that was judged; its digest must be the approved one.
        evidence: figures behind the verdict, signed with it; finite.
        configuration: what it was made and judged by, signed too.
    """
    releases = open_releases(home, name, spec)
    with releases.locked():
        settle(releases)
        try:
            tags = _check(releases, approved)
        except PromotionRefused as error:
            releases.journal.append(
                Entry(event="promotion refused", version=approved.version, detail=str(error))
            )
            raise
        former = releases.serving()
        if former == approved.version:
            releases.align()
            return Promotion(version=approved.version, former=former)
        operation = new_operation()

        def note(entry: Any, detail: str = "") -> None:
            releases.journal.append(
                Entry(
                    event=entry, version=approved.version, former=former, operation=operation, detail=detail
                )
            )

        note("promotion begun")
        fault("promotion_begun")
        try:
            _stage(releases, approved, tags, bundle, evidence or {}, configuration or {})
            releases.folder.promote(approved.version, releases.private_key)
        except Exception as error:
            if releases.serving() != approved.version:
                releases.drop(approved.version)
                note("undone", f"nothing was moved: {type(error).__name__}")
            raise
        fault("pointer_moved")
        releases.align()
        note("promoted", f"in place of version {former}" if former else "the first one")
        fault("move_journalled")
    return Promotion(version=approved.version, former=former)


def _stage(
    releases: Releases,
    approved: ApprovedVersion,
    tags: Mapping[str, str],
    bundle: Path,
    evidence: Mapping[str, Any],
    configuration: Mapping[str, Any],
) -> None:
    manifest = ReleaseManifest(
        name=releases.name,
        version=approved.version,
        # Versions are numbered in the order in which they are registered, and so approved.
        sequence=approved.version,
        bundle_sha256=approved.bundle_sha256,
        verdict=approved.verdict.to_json(),
        evidence=dict(evidence),
        dataset_fingerprint=tags.get(DATASET_TAG, ""),
        code_digest=tags.get(CODE_TAG, ""),
        code_version=version("headgate"),
        configuration=dict(configuration),
    )
    staged = releases.folder.stage(bundle, manifest, releases.private_key)
    fault("staged")
    releases.registry.log_release(approved.version, [staged / RELEASE_FILE, staged / SIGNATURE_FILE])
    fault("release_logged")


def _check(releases: Releases, approved: ApprovedVersion) -> dict[str, str]:
    """Tags of the version, which must tell the same story as the approval."""
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
    now = releases.pointer()
    if now is not None and now.version != approved.version and approved.version <= now.approval:
        raise PromotionRefused(
            f"version {approved.version} of {releases.name!r} is older than version {now.approval}, which "
            "was promoted already; to return to it, roll back"
        )
    return tags
