"""Keep a sweep in MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.references import SweepPoint
from release.home import Home
from release.registry import sweep
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
    fingerprint: str,
) -> str:
    """Id of the parent run of the sweep of project `name`.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    with Step("log the sweep") as step:
        parent = sweep.log_sweep(home, name, spec, points, chosen, page, fingerprint=fingerprint)
        step.outcome = f"run {parent} with {len(points)} children"
    return parent
