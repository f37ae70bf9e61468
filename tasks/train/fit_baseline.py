"""Fit a baseline, a single-head model, or find it in the cache."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.jobs import baselines
from model.jobs.baselines import BaselineJob
from model.references import FittedRef, Run
from release.registry.tracking.course import course
from release.registry.tracking.flow_run import tracked_of
from report.progress import Step


@task(
    name="fit-baseline", tags=["headgate-gpu"], cache_policy=NO_CACHE, task_run_name="fit-baseline-{job.name}"
)
def fit_baseline(job: BaselineJob, run: Run) -> FittedRef:
    """A single-head model with the recipe of the run.

    Raises:
        model.jobs.baselines.OtherCode: this process has another `model` than the flow.
        model.jobs.process.ModelProcessError: the training ended badly.
    """
    tracked = tracked_of(run.folder) if job.label else None
    with Step(job.title, unit="steps") as step, course(tracked, job.label) as tell:
        return baselines.fit_baseline(job, run, step, tell)
