"""Keep a sweep in MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.references import SweepPoint
from release.home import Home
from release.registry.sweep import log_sweep as log
from release.registry.sweep import sweep_without_run
from release.registry.tracking.flow_run import Tracked
from release.spec import RegistrySpec
from report.progress import Step


@task(name="log-sweep", task_run_name="log-sweep", cache_policy=NO_CACHE)
def log_sweep(
    home: Home,
    name: str,
    spec: RegistrySpec,
    points: Sequence[SweepPoint],
    chosen: int,
    page: Path,
    *,
    config: Path,
    fingerprint: str,
    tracked: Tracked | None = None,
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
            known = {"config": config, "fingerprint": fingerprint}
            tracked = sweep_without_run(home, name, spec, points, chosen, page, **known)
        else:
            log(home, name, spec, points, chosen, tracked, fingerprint=fingerprint)
        step.outcome = f"run {tracked.run} with {len(points)} children"
    return tracked.run
