"""That a version is to be watched is kept before it is promoted. Does not watch."""

from __future__ import annotations

from release.bake.record import drop_bake, plan_bake
from release.home import Home
from release.keys import public_key
from release.pointed import serving_version
from serving.spec import DeploySpec
from serving.store.release_folder import ReleaseFolder


def plan(home: Home, name: str, deploy: DeploySpec, version: int) -> None:
    """Keep that `version`, which is about to be promoted, is to be watched, where `deploy.bake` says so. A
    first version is not: there is none to go back to.

    Raises:
        release.pointed.ChampionUnverified: it can't be verified which version serves.
    """
    former = None if deploy.bake is None else serving_now(home, name)
    if deploy.bake is None or former is None:
        drop_bake(home, name)
    elif former != version:  # else it serves already: what is kept of its watch, if anything, holds
        plan_bake(home, name, version, former, deploy.bake)


def serving_now(home: Home, name: str) -> int | None:
    """Version that the pointer of project `name` names; None for none.

    Raises:
        release.pointed.ChampionUnverified: something serves, and it can't be verified what.
    """
    return serving_version(home, ReleaseFolder(home.releases(name), name), public_key(home, name))
