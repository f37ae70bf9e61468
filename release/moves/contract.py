"""What clients lose and gain when another version is to serve: by the cards of both, in the release folder.

A promotion that takes away what nobody consented to is refused; a rollback says what it takes away and goes
on, because it undoes something in a hurry. Consents are read from what was signed with the version.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from expectations.contract.compare import Contract, compare_answers, told
from expectations.contract.consent import RENAMINGS, BadConsent, Change, signed_consents
from expectations.gates.scores import card_heads
from model.spec import HeadSpec
from release.releases import Releases
from serving.store.manifest import (
    BUNDLE_FOLDER,
    DROPPED_HEADS,
    ReleaseManifest,
    ReleaseRefused,
    read_file,
    signed_manifest,
)
from serving.store.release_folder import PromotionRefused
from serving.store.signed import json_object

CARD = "card.json"


class ContractBroken(PromotionRefused):
    """Clients would lose something that nobody consented to; nothing was moved. The message has the lines
    that consent."""


def beside_serving(
    releases: Releases, bundle: Path, configuration: Mapping[str, Any], allow: Sequence[Change] = ()
) -> Contract | None:
    """What clients of the version that serves lose and gain with a bundle; nothing where none serves, and
    None where what serves can't be read.

    Args:
        configuration: signed with the version of the bundle: its consents count.
        allow: further consents.
    """
    serving, now = releases.serving(), answered(bundle)
    if serving is None:
        return Contract()
    before = answered(releases.folder.version_dir(serving) / BUNDLE_FOLDER)
    if before is None or now is None:
        return None
    consents = (*signed_consents(configuration, set(before) - set(now)), *allow)
    return compare_answers(before, now, consents)


def refuse_losses(
    releases: Releases,
    version: int,
    bundle: Path,
    configuration: Mapping[str, Any],
    allow: Sequence[Change] = (),
) -> None:
    """Return if a version takes nothing away from clients that is not consented to.

    Where what serves can't be read nothing is known of it, and nobody is held (`release.moves.compared` holds
    what was judged beside it).

    Raises:
        ContractBroken: it does.
    """
    contract = beside_serving(releases, bundle, configuration, allow)
    if contract is None or not contract.missing:
        return
    lost = "".join(f"\n  • {change.said}" for change in contract.missing)
    options = " ".join(f"--allow {shlex.quote(change.line)}" for change in contract.missing)
    raise ContractBroken(
        f"version {version} of {releases.name!r} takes away what version {releases.serving()} answers, and "
        f"nobody consented to it:{lost}\n  Consent in the configuration (`gates.contract.allow`) and "
        f'retrain; or promote it with --override "why" {options}'
    )


def clients_told(releases: Releases, version: int) -> list[str]:
    """What clients lose and gain when a version of the release folder serves again, line by line."""
    serving = releases.serving()
    if serving is None or serving == version:
        return []
    then, again = (releases.folder.version_dir(number) for number in (serving, version))
    before, now = answered(then / BUNDLE_FOLDER), answered(again / BUNDLE_FOLDER)
    if before is None or now is None:
        return unknown_told(version, serving)
    renamed = [change.reversed() for change in _renamings(releases, then)] + _renamings(releases, again)
    return contract_told(compare_answers(before, now, suspected=renamed), version, serving)


def contract_told(contract: Contract, version: int, serving: int | None) -> list[str]:
    """What clients lose and gain with `version` in the place of `serving`, line by line."""
    if serving is None:
        return []
    lines = told(contract)
    if not lines:
        return [f"version {version} in place of version {serving}: clients lose and gain nothing"]
    return [f"version {version} in place of version {serving}:", *(f"  • {line}" for line in lines)]


def unknown_told(version: int, serving: int | None) -> list[str]:
    """The same where what serves can't be read."""
    return [
        f"version {version} in place of version {serving}, which can't be read: it is not known what clients "
        "lose and gain"
    ]


def answered(bundle: Path) -> dict[str, HeadSpec] | None:
    """Heads of a bundle, by its card; None where that can't be read."""
    try:
        return card_heads(json_object(read_file(bundle / CARD), CARD, ReleaseRefused))
    except (ReleaseRefused, KeyError, TypeError, AttributeError):
        return None


def with_dropped_heads(
    releases: Releases, manifest: ReleaseManifest, contract: Contract | None, answers: Collection[str]
) -> dict[str, Any]:
    """The configuration of a manifest, with the heads that its version, or one before it, does not answer any
    more: what an endpoint tells whoever asks for one.

    Args:
        contract: with what serves; None where that can't be read.
        answers: heads that the version answers.
    """
    serving = releases.serving()
    known: dict[str, Any] = {}
    if serving is not None:
        known = dict(_signed(releases, releases.folder.version_dir(serving)).get(DROPPED_HEADS) or {})
    lost = () if contract is None else contract.lost
    gone = {one.head: one.after for one in lost if one.kind in ("head gone", "head renamed")}
    for head, about in known.items():
        if about.get("now") in gone:  # what it was renamed to has another name now, or is gone
            known[head] = {**about, "now": gone[about["now"]]}
    for head, after in gone.items():
        known[head] = {"version": manifest.version, "at": manifest.created, "now": after}
    known = {head: {key: value for key, value in about.items() if value} for head, about in known.items()}
    for head in answers:
        known.pop(head, None)
    configuration = {key: value for key, value in manifest.configuration.items() if key != DROPPED_HEADS}
    return {**configuration, DROPPED_HEADS: known} if known else configuration


def renumbered(configuration: Mapping[str, Any], before: int, now: int) -> dict[str, Any]:
    """A signed configuration whose version has another number: it dropped its heads under that one."""
    dropped = {
        head: {**about, "version": now} if about.get("version") == before else about
        for head, about in (configuration.get(DROPPED_HEADS) or {}).items()
    }
    return {**configuration, **({DROPPED_HEADS: dropped} if dropped else {})}


def _renamings(releases: Releases, version_dir: Path) -> list[Change]:
    try:
        consents = signed_consents(_signed(releases, version_dir))
    except BadConsent:  # of a newer Headgate: without it a renaming is told as a loss and a gain
        return []
    return [change for change in consents if change.kind in RENAMINGS]


def _signed(releases: Releases, version_dir: Path) -> Mapping[str, Any]:
    """The configuration that is signed with a version; empty where it can't be read."""
    try:
        return signed_manifest(version_dir, releases.public_key).configuration
    except ReleaseRefused:
        return {}
