"""Promote a registered version on a person's word: one that passed, or, audited, one that did not.

The verdict is read from the record that was signed at registration. One that is not a pass ships only with
an override that says why and how long. Either way the version is verified, deployed and tried over HTTP
like any other, and goes back if it does not answer as it was judged. What it takes away from clients needs
consent, too: the configuration's, or the override's own.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from expectations.contract.consent import BadConsent, Change, consents_of
from expectations.verdict import ApprovedVersion
from model.bundle.masking import masked
from model.errors import HeadgateError
from release.home import Home
from release.journal import Entry
from release.moves.contract import beside_serving, contract_told, unknown_told
from release.moves.promote import promote_overridden, promote_version
from release.registry.judgement import Judgement, NotJudged, read_judgement
from release.releases import Releases, open_releases
from release.saved_settings import load_settings
from release.targets.deploy import DeployOutcome, deploy_version
from serving.processes import account
from serving.shown import one_line
from serving.store.manifest import ReleaseRefused, verify_bundle_files
from serving.store.override import Override
from serving.store.release_folder import PromotionRefused

MOST_DAYS = 30
"""Longest life of an override, in days: what should serve longer has to pass its gates."""

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class BadDuration(HeadgateError):
    """How long an override is to hold can't be read, or is too long."""

    kind = "usage"


def duration(text: str) -> timedelta:
    """`30m`, `12h`, `7d` or `2w` as a time span.

    Raises:
        BadDuration: it is none of these, zero, or longer than `MOST_DAYS`.
    """
    found = re.fullmatch(r"([0-9]{1,5})([mhdw])", text)
    if found is None:
        raise BadDuration(f"expires: seen {text!r}, expected a number and m, h, d or w, such as 12h or 7d")
    span = int(found[1]) * _UNITS[found[2]]
    if not timedelta(0) < span <= timedelta(days=MOST_DAYS):
        raise BadDuration(f"expires: seen {text!r}, expected more than nothing and at most {MOST_DAYS}d")
    return span


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotedByHand:
    """What a promotion by hand came to."""

    outcome: DeployOutcome
    run: str
    """Run of the flow that made the version; names the folder of its reports."""
    override: Override | None
    """Under which the version serves; None where it passed its gates."""


def promote_by_hand(
    home: Home,
    name: str,
    version: int,
    *,
    reason: str | None = None,
    expires: str = "7d",
    allow: Sequence[str] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> PromotedByHand:
    """Make a registered version of project `name` the champion and deploy it.

    Args:
        home: the state folder.
        name: project; it serves as it was deployed last.
        version: registered version.
        reason: why a version whose verdict is not a pass is to serve nevertheless; None for no override.
        expires: how long the override holds.
        allow: what clients may lose by the override, as in `gates.contract.allow`.
        tell: takes what clients lose and gain, line by line, before anything moves.

    Raises:
        BadDuration: `expires` can't be read.
        expectations.contract.consent.BadConsent: a line of `allow` can't be read.
        release.moves.contract.ContractBroken: clients would lose what nobody consented to.
        serving.store.release_folder.PromotionRefused: the verdict is not a pass and no reason was given (or
            it is, and one was), or a version approved later was promoted already.
        release.registry.judgement.NotJudged: the record of its verdict can't be believed.
        serving.store.manifest.ReleaseRefused: the bundle in the registry is not the one that was judged.
        release.releases.OtherRegistry: the registry belongs to another release folder.
        release.registry.client.RegistryProblem: there is no such version, or the registry can't be reached.
    """
    span = duration(expires)
    try:
        consents = consents_of(allow)
    except BadConsent as error:
        raise BadConsent(f"--allow: {error}") from error
    reason = None if reason is None else masked(reason)
    settings = load_settings(home, name)
    releases = open_releases(home, name, settings.registry)
    releases.refuse_other_registry()
    try:
        judged = read_judgement(releases.registry, releases.public_key, version)
        _check_reason(judged, reason, consents)
        _check_consents(judged, consents, reason)
        override = None if reason is None else _override(releases, judged, _with(reason, consents), span)
        with tempfile.TemporaryDirectory(dir=home.cache) as temporary:
            bundle = releases.registry.download_bundle(version, Path(temporary))
            verify_bundle_files(bundle, judged.bundle_sha256)
            for line in _told(releases, judged, bundle, consents):
                tell(line)
            _promote(releases, judged, bundle, override, consents)
    except (PromotionRefused, NotJudged, ReleaseRefused) as error:
        detail = " ".join(str(error).split())
        releases.journal.append(Entry(event="promotion refused", version=version, detail=detail))
        raise
    outcome = deploy_version(home, name, settings.registry, settings.deploy, version)
    return PromotedByHand(outcome=outcome, run=judged.run, override=override)


def _told(releases: Releases, judged: Judgement, bundle: Path, consents: Sequence[Change]) -> list[str]:
    """What clients lose and gain, line by line."""
    serving = releases.serving()
    if serving is None or serving == judged.version:
        return []
    contract = beside_serving(releases, bundle, judged.configuration, consents)
    if contract is None:
        return unknown_told(judged.version, serving)
    if contract.missing:  # the refusal says it
        return []
    return contract_told(contract, judged.version, serving)


def _promote(
    releases: Releases,
    judged: Judgement,
    bundle: Path,
    override: Override | None,
    consents: Sequence[Change],
) -> None:
    spec = releases.registry.spec
    if override is not None:
        promote_overridden(
            releases.home, releases.name, spec, judged, override, bundle=bundle, allow=consents
        )
        return
    approved = ApprovedVersion(
        name=judged.name,
        version=judged.version,
        bundle_sha256=judged.bundle_sha256,
        verdict=judged.verdict,
    )
    promote_version(
        releases.home,
        releases.name,
        spec,
        approved,
        bundle=bundle,
        evidence=judged.evidence,
        configuration=judged.configuration,
    )


def _check_reason(judged: Judgement, reason: str | None, consents: Sequence[Change]) -> None:
    outcome, what = judged.verdict.outcome, f"version {judged.version} of {judged.name!r}"
    if outcome != "pass" and reason is None:
        reasons = "".join(f"\n  • {one}" for one in judged.verdict.reasons)
        raise PromotionRefused(
            f"{what} may not serve: its verdict is {outcome}{reasons}\n  To let it serve for a while "
            'nevertheless, say why: --override "reason" --expires 7d'
        )
    if outcome == "pass" and reason is not None and not consents:
        raise PromotionRefused(f"{what} passed its gates; promote it without an override")
    if reason is not None and not reason.strip():
        raise PromotionRefused(f"{what}: an override needs a reason, in words")
    if reason is not None and one_line(reason.strip()) != reason.strip():
        raise PromotionRefused(
            f"{what}: seen line breaks or control characters in the override's reason, expected one line of "
            f"text: {one_line(reason.strip())}"
        )


def _check_consents(judged: Judgement, consents: Sequence[Change], reason: str | None) -> None:
    if consents and reason is None:
        raise PromotionRefused(
            f"version {judged.version} of {judged.name!r}: --allow belongs to an --override; for a version "
            "that passes its gates, consent stands in the configuration: `gates.contract.allow`"
        )


def _with(reason: str, consents: Sequence[Change]) -> str:
    """The reason of an override, which says what clients may lose by it."""
    if not consents:
        return reason
    return f"{reason.strip()} (clients may lose: {', '.join(change.line for change in consents)})"


def _override(releases: Releases, judged: Judgement, reason: str, span: timedelta) -> Override:
    now = datetime.now(UTC)
    return Override(
        name=releases.name,
        version=judged.version,
        bundle_sha256=judged.bundle_sha256,
        reason=reason.strip(),
        by=account(),
        created=now.isoformat(timespec="seconds"),
        expires=(now + span).isoformat(timespec="seconds"),
    )
