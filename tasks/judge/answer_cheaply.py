"""Let the cheap references answer the test rows of a head: what the references gate holds it beside."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.jobs import cheap_answers as jobs
from model.references import AnswersRef, Run
from model.spec import ReferenceName
from report.progress import Step


@task(name="answer-cheaply", cache_policy=NO_CACHE, task_run_name="answer-cheaply-{name}")
def answer_cheaply(name: str, run: Run, wanted: Sequence[ReferenceName]) -> AnswersRef:
    """The answers of the wanted references for the head `name`, from the cache where it has them.

    Raises:
        model.jobs.process.ModelProcessError: they could not be fitted.
    """
    with Step(f"references {name}") as step:
        return jobs.cheap_answers(name, run, wanted, step)
