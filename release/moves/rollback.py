"""Go back one version, or to a named one, through the same verification as a promotion.

Only versions that were signed when they were promoted can return. Does not need the configuration.
"""

from __future__ import annotations

from model.errors import HeadgateError
from release.home import Home
from release.moves.carry import carry_lost
from release.moves.fetch import ensure_present
from release.moves.move import Move, move
from release.moves.unfinished import finish_moves
from release.registry.client import RegistryProblem
from release.releases import Releases, open_releases
from release.saved_settings import load_settings, state_file
from release.targets.deploy import DeployOutcome, confirm_deployment, deploy_to_target, deploy_version
from serving.process import control
from serving.spec import ENDPOINT
from serving.store.manifest import ReleaseRefused, verify_release
from serving.store.release_folder import PromotionRefused


class RollbackRefused(HeadgateError):
    """There is nothing to go back to, or it may not serve; nothing was moved."""


def roll_back(home: Home, name: str, version: int | None = None) -> DeployOutcome:
    """Make an earlier version of project `name` the champion again.

    Args:
        home: the state folder.
        name: project.
        version: version to return to; by default the one that served before the present one. Going
            back again goes back further. The champion itself is fetched again where its copy is damaged.

    Raises:
        RollbackRefused: there is nothing to go back to, or it may not serve.
        release.registry.client.RegistryProblem: the registry can't be reached; the pointer has moved all the
            same, and `release.moves.reconcile` moves the aliases later.
    """
    settings = load_settings(home, name)
    releases = open_releases(home, name, settings.registry)
    with releases.locked():
        finish_moves(releases)
        wanted = _wanted(releases, version)
        _move(releases, wanted)
        wanted = carry_lost(releases)[0] or wanted
    if settings.deploy.target != ENDPOINT:
        return deploy_to_target(releases, settings.deploy, wanted)
    running = control.status(state_file(home, name))
    if running is None:
        return DeployOutcome(deployed=True, wanted=wanted, serving=wanted, url=None)
    if not control.at_its_place(running, state_file(home, name)):
        # It follows the folder that was moved away: one has to be started here.
        return deploy_version(home, name, settings.registry, settings.deploy, wanted)
    return confirm_deployment(releases, running.url, settings.deploy, wanted)


def _move(releases: Releases, version: int) -> None:
    def change() -> int:
        try:
            ensure_present(releases.registry, releases.folder, releases.public_key, version)
            releases.folder.roll_back(releases.private_key, version)
        except (ReleaseRefused, PromotionRefused, RegistryProblem) as error:
            raise RollbackRefused(f"{releases.name}: version {version} may not serve: {error}") from error
        return version

    wanted = Move(kind="rollback", version=version, end_detail=lambda former: f"from version {former}")
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
