"""Go back one version, or to a named one, through the same verification as a promotion.

Only versions that were signed when they were promoted can return. Does not need the configuration.
"""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.errors import HeadgateError
from model.faults import fault
from release.home import Home
from release.journal import Entry, new_operation
from release.moves.fetch import ensure_present
from release.moves.restore import restore
from release.moves.unfinished import settle
from release.registry.client import RegistryProblem
from release.releases import Releases, open_releases
from release.settings import load_settings, state_file
from release.targets.deploy import DeployOutcome, WrongAnswers, confirm, deploy_to_target
from serving.client import NoAnswer
from serving.process import control as process
from serving.spec import ENDPOINT
from serving.store.manifest import ReleaseRefused, verify_release
from serving.store.release_folder import PromotionRefused


class RollbackRefused(HeadgateError):
    """There is nothing to go back to, or it may not serve; nothing was moved."""


@task(name="rollback", cache_policy=NO_CACHE, persist_result=False)
def rollback(home: Home, name: str, version: int | None = None) -> DeployOutcome:
    """Make an earlier version of project `name` the champion again.

    Raises:
        RollbackRefused: there is nothing to go back to, or it may not serve.
    """
    return roll_back_to(home, name, version)


def roll_back_to(home: Home, name: str, version: int | None = None) -> DeployOutcome:
    """As `rollback`, without Prefect.

    Args:
        home: the state folder.
        name: project.
        version: version to return to; by default the one that served before the present one. Going
            back again goes back further. The champion itself is fetched again where its copy is damaged.

    Raises:
        RollbackRefused: there is nothing to go back to, or it may not serve.
        release.registry.client.RegistryProblem: the registry can't be reached; the pointer has moved all the same,
            and `release.moves.reconcile` moves the aliases later.
    """
    settings = load_settings(home, name)
    releases = open_releases(home, name, settings.registry)
    with releases.locked():
        settle(releases)
        target = _target(releases, version)
        now = releases.serving()
        operation = new_operation()
        releases.journal.append(
            Entry(event="rollback begun", version=target, former=now, operation=operation)
        )
        fault("rollback_begun")
        try:
            ensure_present(releases.registry, releases.folder, releases.public_key, target)
            releases.folder.roll_back(releases.private_key, target)
        except (ReleaseRefused, PromotionRefused, RegistryProblem) as error:
            releases.journal.append(
                Entry(event="undone", version=target, former=now, operation=operation, detail=str(error))
            )
            raise RollbackRefused(f"{name}: version {target} may not serve: {error}") from error
        fault("pointer_moved")
        releases.align()
        releases.journal.append(_moved(target, now, operation))
        fault("move_journalled")
    if settings.deploy.target != ENDPOINT:
        return deploy_to_target(releases, settings.deploy, target)
    running = process.status(state_file(home, name))
    if running is None:
        return DeployOutcome(deployed=True, wanted=target, serving=target, url=None)
    try:
        confirm(releases, running.url, settings.deploy, target)
    except (NoAnswer, WrongAnswers) as error:
        releases.journal.append(Entry(event="not deployed", version=target, detail=str(error)))
        fault("refusal_journalled")
        serving = restore(releases, target, str(error))
        return DeployOutcome(
            deployed=False, wanted=target, serving=serving, url=running.url, reason=str(error)
        )
    releases.journal.append(Entry(event="deployed", version=target, detail=running.url))
    return DeployOutcome(deployed=True, wanted=target, serving=target, url=running.url)


def _target(releases: Releases, version: int | None) -> int:
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


def _moved(target: int, now: int | None, operation: str) -> Entry:
    if target == now:
        return Entry(
            event="reconciled", version=target, operation=operation, detail="its copy was fetched again"
        )
    detail = f"from version {now}"
    return Entry(event="rolled back", version=target, former=now, operation=operation, detail=detail)
