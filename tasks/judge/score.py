"""Let a bundle answer the test rows: what the accuracy gate judges."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.jobs import score as jobs
from model.references import BundleRef, Run, ScoresRef
from report.progress import Step


@task(name="score", cache_policy=NO_CACHE, task_run_name="score-{label}")
def score(label: str, bundle: BundleRef, run: Run, threads: int) -> ScoresRef:
    """The bundle's answers on the test split, from a process that loaded nothing but the bundle.

    Raises:
        model.files.FileChanged: the bundle that was scored is not the one that is referred to.
        model.jobs.process.ModelProcessError: the bundle can't be loaded or scored.
    """
    with Step(f"score {label}", unit="rows") as step:
        return jobs.score(label, bundle, run, threads, step)
