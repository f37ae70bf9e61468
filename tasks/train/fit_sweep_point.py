"""Train the shared model at one point of a grid of loss weights."""

from __future__ import annotations

from collections.abc import Mapping

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.jobs.sweep import fit_point
from model.references import Run, SweepPoint
from release.registry.sweep import point_label
from release.registry.tracking.course import course
from release.registry.tracking.flow_run import tracked_of
from report.progress import Step


@task(
    name="fit-sweep-point",
    tags=["headgate-gpu"],
    cache_policy=NO_CACHE,
    task_run_name="fit-sweep-point-{number}",
)
def fit_sweep_point(number: int, shares: Mapping[str, float], run: Run) -> SweepPoint:
    """The shared model with the heads' loss weights in these shares, without teachers.

    Raises:
        model.jobs.process.ModelProcessError: the training ended badly.
    """
    tracked, label = tracked_of(run.folder), point_label(number)
    with Step(f"point {number}", unit="steps") as step, course(tracked, label) as tell:
        return fit_point(number, shares, run, step, tell)
