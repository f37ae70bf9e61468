"""Find the model that serves: what a candidate is compared with."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.champion import ChampionRef, current_champion
from release.home import Home


@task(name="find-champion", task_run_name="find-champion", cache_policy=NO_CACHE)
def find_champion(home: Home, name: str) -> ChampionRef | None:
    """The version that the release folder points at, verified; None before the first deployment.

    Raises:
        serving.store.manifest.ReleaseRefused: the version that is pointed at was changed since it was signed.
    """
    return current_champion(home, name)
