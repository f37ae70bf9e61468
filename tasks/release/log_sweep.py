"""Keep a sweep in MLflow."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.home import Home
from release.registry.sweep import Sweep, sweep_without_run
from release.registry.sweep import log_sweep as log
from release.registry.tracking.flow_run import Tracked
from release.spec import RegistrySpec
from report.progress import Step


@task(name="log-sweep", task_run_name="log-sweep", cache_policy=NO_CACHE)
def log_sweep(
    home: Home, name: str, spec: RegistrySpec, found: Sweep, *, config: Path, tracked: Tracked | None = None
) -> str:
    """Id of the run of the sweep of project `name`.

    Args:
        config: the configuration file.
        tracked: the flow's run in MLflow, if there is one.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    with Step("log the sweep") as step:
        if tracked is None:
            tracked = sweep_without_run(home, name, spec, found, config)
        else:
            log(home, name, spec, found, tracked)
        step.outcome = f"run {tracked.run} with {len(found.points)} children"
    return tracked.run
