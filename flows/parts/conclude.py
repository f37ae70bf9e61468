"""How a judged candidate ends, by retraining or by judging again: deployed or not, and what is said."""

from __future__ import annotations

from typing import Any

from expectations.verdict import Verdict
from flows.parts.graph import asking, step
from release.champion import ChampionRef
from release.home import Home
from release.registry.candidate import Candidate
from release.registry.register import RegisteredVersion
from release.saved_settings import Settings
from release.targets.deploy import DeployOutcome
from report.release import why_section
from report.release.gather import Release
from tasks.release.deploy import deploy
from tasks.release.promote import promote

NO_REASON = "the endpoint did not answer as judged"
"""Why a deployment was taken back, where nothing more is known."""


def ship(
    home: Home, name: str, settings: Settings, registered: RegisteredVersion, candidate: Candidate
) -> DeployOutcome | None:
    """Promote and deploy a candidate that passed; None of one that did not."""
    if candidate.verdict.outcome != "pass":
        return None
    promoted = asking(promote, [registered])(home, name, settings.registry, registered, candidate)
    if isinstance(promoted, str):
        return DeployOutcome(end="held", wanted=registered.version, serving=None, url=None, reason=promoted)
    return step(deploy, [promoted])(home, name, settings.registry, settings.deploy, registered.version)


def release_of(
    registered: RegisteredVersion, deployed: DeployOutcome | None, champion: ChampionRef | None
) -> Release:
    """What became of a version, for its page."""
    end = "" if deployed is None else deployed.end
    reason = "" if deployed is None else deployed.reason
    return Release(
        registered=registered.facts,
        deployed={"version": deployed.serving, "url": deployed.url} if deployed and deployed.deployed else {},
        champion=f"version {champion.version} {champion.override}".strip() if champion else "",
        undone=(reason or NO_REASON) if end == "undone" else "",
        held=reason if end == "held" else "",
        unconfirmed=reason if end == "unconfirmed" else "",
    )


def ending_of(name: str, verdict: Verdict, release: Release) -> dict[str, Any]:
    """Fields of `flows.outcome.Outcome`: stage, its sentence, reasons, what is registered and deployed."""
    sentence = why_section.ending_of(name, verdict, release).sentence()
    known: dict[str, Any] = {
        "registered": release.registered,
        "deployed": release.deployed,
        "sentence": sentence,
    }
    if release.undone:
        return {"stage": "deployment_undone", "reasons": (release.undone,), **known}
    if release.unconfirmed:
        return {"stage": "unconfirmed", "reasons": (release.unconfirmed,), **known}
    if release.held:
        return {"stage": "held", "reasons": (release.held,), **known}
    if verdict.outcome != "pass":
        known |= {"undecided": verdict.outcome == "inconclusive"}
        return {"stage": "model_rejected", "reasons": verdict.reasons, **known}
    return {"stage": "deployed", **known}
