"""How a judged candidate ends, by retraining or by judging again: deployed or not, and what is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from expectations.verdict import Verdict
from flows.parts.graph import asking, step
from release.bake.outcome import BakeOutcome
from release.bake.plan import plan
from release.bake.record import bake_file
from release.champion import ChampionRef
from release.home import Home
from release.registry.candidate import Candidate
from release.registry.register import RegisteredVersion
from release.saved_settings import Settings
from release.targets.deploy import DeployOutcome
from report.release import why_section
from report.release.became import Release
from tasks.release.bake import bake
from tasks.release.deploy import deploy
from tasks.release.promote import promote

NO_WAY_BACK = "it was not watched: it is the first version, and there is none to go back to"
"""Why a version is not watched although the configuration wants it."""
NO_REASON = "the endpoint did not answer as judged"
"""Why a deployment was taken back, where nothing more is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is known of the watch over a version that was just deployed."""

    said: str
    """One sentence."""
    goes_on: bool = False
    """Whether it is to be watched still."""
    outcome: BakeOutcome | None = None
    """How it ended."""


def ship(
    home: Home, name: str, settings: Settings, registered: RegisteredVersion, candidate: Candidate
) -> DeployOutcome | None:
    """Promote and deploy a candidate that passed; None of one that did not."""
    if candidate.verdict.outcome != "pass":
        return None
    plan(home, name, settings.deploy, registered.version)
    promoted = asking(promote, [registered])(home, name, settings.registry, registered, candidate)
    if isinstance(promoted, str):
        return DeployOutcome(end="held", wanted=registered.version, serving=None, url=None, reason=promoted)
    return step(deploy, [promoted])(home, name, settings.registry, settings.deploy, registered.version)


def being_watched(
    home: Home, name: str, settings: Settings, deployed: DeployOutcome | None
) -> Watched | None:
    """How the watch over a version that was just deployed begins; None where it is not to be watched."""
    if settings.deploy.bake is None or deployed is None or not deployed.deployed:
        return None
    if not bake_file(home, name).exists():
        return Watched(said=NO_WAY_BACK)
    return Watched(said=f"it is watched for {settings.deploy.bake.minutes:g} minutes", goes_on=True)


def watched_through(home: Home, name: str, begun: Watched | None) -> Watched | None:
    """How a watch that goes on ended, which takes its time; otherwise what was known."""
    if begun is None or not begun.goes_on:
        return begun
    outcome = step(bake)(home, name)
    return begun if outcome is None else Watched(said=outcome.why, outcome=outcome)


def release_of(
    registered: RegisteredVersion,
    deployed: DeployOutcome | None,
    champion: ChampionRef | None,
    watched: Watched | None = None,
) -> Release:
    """What became of a version, for its page."""
    end = "" if deployed is None else deployed.end
    reason = "" if deployed is None else deployed.reason
    outcome = None if watched is None else watched.outcome
    if outcome is not None and outcome.end in ("taken back", "stuck"):
        taken = outcome.end == "taken back"
        return Release(
            registered=registered.facts,
            deployed=serving_after(outcome) if taken else {},
            champion=_named(champion),
            taken_back=outcome.why if taken else "",
            unconfirmed="" if taken else f"should be taken back: {outcome.why}",
        )
    return Release(
        registered=registered.facts,
        deployed={"version": deployed.serving, "url": deployed.url} if deployed and deployed.deployed else {},
        champion=_named(champion),
        undone=(reason or NO_REASON) if end == "undone" else "",
        held=reason if end == "held" else "",
        unconfirmed=reason if end == "unconfirmed" else "",
        watched="" if watched is None else watched.said,
    )


def _named(champion: ChampionRef | None) -> str:
    return f"version {champion.version} {champion.override}".strip() if champion else ""


def serving_after(outcome: BakeOutcome) -> dict[str, Any]:
    """What serves after a version was to be taken back."""
    done = outcome.done
    return (
        {"version": outcome.version, "url": None}
        if done is None
        else {
            "version": done.serving,
            "url": done.url or "no endpoint is running",
        }
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
    if release.taken_back:
        return {"stage": "taken_back", "reasons": (release.taken_back,), **known}
    if release.unconfirmed:
        return {"stage": "unconfirmed", "reasons": (release.unconfirmed,), **known}
    if release.held:
        return {"stage": "held", "reasons": (release.held,), **known}
    if verdict.outcome != "pass":
        known |= {"undecided": verdict.outcome == "inconclusive"}
        return {"stage": "model_rejected", "reasons": verdict.reasons, **known}
    return {"stage": "deployed", "reasons": (release.watched,) if release.watched else (), **known}
