"""Go back one version, or to a named one, through the same verification as a promotion.

Only versions that were signed when they were promoted can return. Does not need the configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from model.errors import HeadgateError
from release.home import Home
from release.moves.carry import carry_lost
from release.moves.contract import clients_told
from release.moves.fetch import ensure_present
from release.moves.move import Move, move
from release.moves.unfinished import finish_moves
from release.registry.client import RegistryProblem
from release.releases import Releases, open_releases
from release.saved_settings import load_settings, state_file
from release.targets.deploy import (
    DeployOutcome,
    confirm_deployment,
    deploy_to_target,
    hand_back,
    put_in_place,
)
from serving.process import control
from serving.spec import ENDPOINT, DeploySpec
from serving.store.manifest import ReleaseRefused, verify_release
from serving.store.release_folder import PromotionRefused


class RollbackRefused(HeadgateError):
    """There is nothing to go back to, or it may not serve; nothing was moved."""


def roll_back(
    home: Home,
    name: str,
    version: int | None = None,
    *,
    reason: str = "",
    tell: Callable[[str], None] = lambda line: None,
) -> DeployOutcome:
    """Make an earlier version of project `name` the champion again.

    Where it is not known whether it answers as it was judged, the version that was left is the champion
    again; both stay in the release folder.

    Args:
        home: the state folder.
        name: project.
        version: version to return to; by default the one that served before the present one. Going
            back again goes back further. The champion itself is fetched again where its copy is damaged.
        tell: takes what clients lose and gain, line by line, before anything moves. A rollback needs no
            consent: it undoes something in a hurry.
        reason: why, for the journal.

    Raises:
        RollbackRefused: there is nothing to go back to, or it may not serve.
        release.registry.client.RegistryProblem: the registry can't be reached; the pointer has moved all the
            same, and `release.moves.reconcile` moves the aliases later.
    """
    settings = load_settings(home, name)
    releases = open_releases(home, name, settings.registry)
    with releases.locked():
        finish_moves(releases)
        wanted, left = _wanted(releases, version), releases.serving()
        _move(releases, wanted, reason, tell)
        wanted = carry_lost(releases)[0] or wanted
    spec, file = settings.deploy, state_file(home, name)
    if spec.target != ENDPOINT:
        outcome = deploy_to_target(releases, spec, wanted)
    elif (running := control.status(file)) is None:
        return DeployOutcome(end="deployed", wanted=wanted, serving=wanted, url=None)
    elif not control.at_its_place(running, file):
        # It follows the folder that was moved away: one has to be started here.
        outcome = put_in_place(releases, spec, wanted)
    else:
        outcome = confirm_deployment(releases, spec, wanted)
    return _stay(releases, spec, outcome, left) if outcome.end == "unconfirmed" else outcome


def _stay(releases: Releases, spec: DeploySpec, outcome: DeployOutcome, left: int | None) -> DeployOutcome:
    """Return to the version that was left, because nothing is known of the one that was wanted."""
    problem = ""
    with releases.locked():
        if left is not None and left != outcome.wanted and releases.serving() == outcome.wanted:
            try:
                _move(releases, left)
            except RollbackRefused as error:  # it was left because it may not serve any more
                problem = str(error)
    serving = releases.serving()
    if spec.target != ENDPOINT:
        problem = problem or hand_back(releases, spec, serving)
    advice = f"version {serving or 'none'} is the champion; both versions are kept: try again"
    reason = "; ".join(filter(None, (outcome.reason, problem, advice)))
    return replace(outcome, serving=serving, reason=reason)


def _move(
    releases: Releases, version: int, reason: str = "", tell: Callable[[str], None] = lambda line: None
) -> None:
    def change() -> int:
        try:
            ensure_present(releases.registry, releases.folder, releases.public_key, version)
            for line in clients_told(releases, version):
                tell(line)
            releases.folder.roll_back(releases.private_key, version)
        except (ReleaseRefused, PromotionRefused, RegistryProblem) as error:
            raise RollbackRefused(f"{releases.name}: version {version} may not serve: {error}") from error
        return version

    why = f": {reason}" if reason else ""
    wanted = Move(kind="rollback", version=version, end_detail=lambda former: f"from version {former}{why}")
    move(releases, wanted, change)


def _wanted(releases: Releases, version: int | None) -> int:
    now, stack = releases.serving(), releases.served()
    if version is None:
        earlier = [served for served in stack if served != now]
        if not earlier:
            raise RollbackRefused(f"{releases.name}: no version served before {now or 'this'}")
        return earlier[-1]
    if version == now and _whole(releases, version):
        raise RollbackRefused(f"{releases.name}: version {version} is the champion already")
    return version


def _whole(releases: Releases, version: int) -> bool:
    """Whether the copy of a version in the release folder verifies; one that does not, does not serve."""
    try:
        verify_release(releases.folder.version_dir(version), releases.public_key, releases.name)
    except ReleaseRefused:
        return False
    return True
