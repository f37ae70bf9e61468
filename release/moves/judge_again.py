"""A registered version that does not serve, timed and judged again: what it needs, and its new record.

The signed record of its verdict says by which gates and on which bytes it was judged; both stay as they were.
The former record stays beside the new one. Does not measure, and does not promote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.errors import HeadgateError
from model.faults import fault
from model.references import BundleRef, Run
from release.home import Home
from release.journal import Entry
from release.keep.owner import mark_run
from release.kept_evidence import KeptEvidence, read_evidence
from release.moves.compared import uncompared
from release.registry.candidate import Candidate
from release.registry.client import REASONS_TAG, VERDICT_TAG
from release.registry.judgement import Judgement, keep_former, read_judgement, sign_judgement
from release.registry.register import RegisteredVersion
from release.registry.run import MOST_TEXT, log_verdict
from release.registry.tracking.flow_run import rename_run
from release.registry.tracking.pages import describe_again
from release.releases import Releases, open_releases
from release.spec import RegistrySpec
from serving.store.manifest import verify_bundle_files


class NotJudgedAgain(HeadgateError):
    """A version can't be judged again, or need not be; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgeable:
    """A registered version with all that judging it again needs."""

    registered: RegisteredVersion
    run: Run
    """Its run, with folders of its own for what is measured now."""
    kept: KeptEvidence
    gates: Mapping[str, Any]
    """Gate rules that it was judged by, as in the configuration."""

    @property
    def bundles(self) -> dict[str, BundleRef]:
        """`shared` and `baseline:<head>`."""
        return dict(self.kept.bundles)


def find_judgeable(home: Home, name: str, spec: RegistrySpec, version: int) -> Judgeable:
    """A version of project `name` that did not pass, or beside another champion, ready to be judged again.

    Raises:
        NotJudgedAgain: it passed beside the champion of now, or is older than one that was promoted.
        release.kept_evidence.EvidenceGone: its models or rows are not there any more.
        release.registry.judgement.NotJudged: the record of its verdict can't be believed.
        serving.store.manifest.ReleaseRefused: its bundle is not the one that was judged.
        release.registry.client.RegistryProblem: there is no such version, or the registry can't be reached.
    """
    releases = open_releases(home, name, spec)
    judged = read_judgement(releases.registry, releases.public_key, version)
    _refuse_needless(releases, judged)
    kept = read_evidence(home.runs / judged.run.partition("~")[0], judged.evidence.get("scored_bundles", {}))
    verify_bundle_files(Path(kept.bundles["shared"].path), judged.bundle_sha256)
    run_id = f"{kept.run.id}~{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    run = replace(
        kept.run,
        id=run_id,
        folder=home.runs / run_id,
        logs=home.logs / run_id,
        reports=home.reports / run_id,
    )
    for folder in (run.folder, run.reports):
        folder.mkdir(parents=True)
    mark_run(run.folder, name)
    registered = RegisteredVersion(
        name=judged.name,
        version=version,
        run_id=releases.registry.run_of(version),
        bundle_sha256=judged.bundle_sha256,
        tracking_uri=releases.registry.uri,
    )
    return Judgeable(registered=registered, run=run, kept=kept, gates=judged.configuration.get("gates", {}))


def record_verdict(
    home: Home, name: str, spec: RegistrySpec, registered: RegisteredVersion, candidate: Candidate
) -> None:
    """Make the verdict of `candidate` the one of its registered version: signed, then in tags and figures.

    A crash in between leaves the signed record, which decides: whoever judges again or promotes finds it, and
    `find_judgeable` brings the tags in line.

    Raises:
        NotJudgedAgain: it passed meanwhile, or one registered later was promoted.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    releases = open_releases(home, name, spec)
    with releases.locked():
        former = read_judgement(releases.registry, releases.public_key, registered.version)
        _refuse_needless(releases, former)
        keep_former(releases.registry, registered.run_id, former.run)
        sign_judgement(
            releases.registry,
            releases.private_key,
            registered.run_id,
            registered.version,
            candidate,
            former.model_files,
        )
        _tag(releases, read_judgement(releases.registry, releases.public_key, registered.version))
        log_verdict(releases.registry, registered.run_id, candidate)
        with releases.registry.asked("describe the version"):
            describe_again(releases.registry, registered.run_id, registered.version, candidate)
            rename_run(releases.registry.client, registered.run_id, candidate.verdict.outcome)
        fault("verdict_replaced")
        detail = f"verdict: {candidate.verdict.outcome}, before: {former.verdict.outcome}"
        releases.journal.append(Entry(event="judged again", version=registered.version, detail=detail))


def _refuse_needless(releases: Releases, judged: Judgement) -> None:
    what, pointer = f"version {judged.version} of {judged.name!r}", releases.pointer()
    if judged.verdict.outcome == "pass" and not uncompared(releases, judged.version, judged.evidence):
        _tag(releases, judged)  # a crash after it was judged again may have left them behind
        raise NotJudgedAgain(
            f"{what} passed its gates already; `headgate promote {releases.name} {judged.version}` makes it "
            "serve, if it does not"
        )
    # What serves by an override may be judged again: it then serves by its verdict.
    if pointer is not None and pointer.version != judged.version <= pointer.approval:
        raise NotJudgedAgain(
            f"{what} is older than version {pointer.approval}, which was promoted since: it could not take "
            "its place. Run `headgate retrain`"
        )


def _tag(releases: Releases, judged: Judgement) -> None:
    """Tags as the signed record says; the outcome last, because a promotion looks at it."""
    registry = releases.registry
    tags = {REASONS_TAG: "; ".join(judged.verdict.reasons)[:MOST_TEXT], VERDICT_TAG: judged.verdict.outcome}
    with registry.asked(f"tag version {judged.version}"):
        for tag, value in tags.items():
            registry.client.set_model_version_tag(registry.model, str(judged.version), tag, value)
    fault("verdict_tagged")
