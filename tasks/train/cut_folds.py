"""Cut a head's training rows into folds."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.jobs import folds as jobs
from model.references import FoldRef, Run


@task(name="cut-folds", cache_policy=NO_CACHE, task_run_name="cut-folds-{name}")
def cut_folds(name: str, run: Run, *, folds: int, seed: int) -> list[FoldRef]:
    """The folds of the labelled training rows of head `name`, as rows folders.

    Raises:
        model.errors.BadInput: there are fewer labelled rows than folds.
    """
    return jobs.cut_folds(name, run, folds=folds, seed=seed)
