"""Package a baseline as a bundle of the shared model's precision."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.jobs import baselines
from model.references import BundleRef, FittedRef, Run
from report.progress import Step


@task(name="package-baseline", cache_policy=NO_CACHE, task_run_name="package-baseline-{name}")
def package_baseline(name: str, baseline: FittedRef, run: Run, precision: str) -> BundleRef:
    """The bundle of a baseline of head `name`, from the cache where it is kept.

    Raises:
        model.jobs.process.ModelProcessError: the graph differs from the network, or a figure is not finite.
    """
    with Step("package a baseline") as step:
        return baselines.package_baseline(name, baseline, run, precision, step)
