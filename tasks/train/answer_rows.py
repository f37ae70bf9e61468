"""Let a baseline answer every row of a split, for the shared model to learn from or to check labels by."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.jobs import baselines
from model.references import FittedRef, Run
from model.spec import SplitName
from report.progress import Step


@task(name="answer-rows", cache_policy=NO_CACHE, task_run_name="answer-rows-{name}-{split}")
def answer_rows(name: str, baseline: FittedRef, rows: Path, run: Run, split: SplitName = "train") -> str:
    """The logits of a model of head `name` for all rows of a split: path of the `.npy` file (N, L_h).

    Raises:
        model.jobs.process.ModelProcessError: the model can't be loaded or run.
    """
    with Step(f"answer {name} {split}", unit="rows") as step:
        return baselines.answer_rows(name, baseline, rows, run, step, split)
