"""Put together what the models of the folds answer: the logits that the shared model learns a head from."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.jobs import folds as jobs
from model.references import LogitsRef, Run
from report.progress import Step


@task(name="combine-folds", cache_policy=NO_CACHE, task_run_name="combine-folds-{name}")
def combine_folds(name: str, baseline: str, folds: Sequence[LogitsRef], run: Run) -> str:
    """The folds' logits where they have them, the baseline's elsewhere: path of the `.npy` file (N, L_h).

    Raises:
        model.errors.BadInput: the folds are not of these rows.
    """
    with Step(f"combine folds {name}") as step:
        return jobs.combine_folds(name, baseline, folds, run, step)
