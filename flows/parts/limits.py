"""Which tags of a task ask Prefect's server for a place: those that somebody has limited.

Prefect asks for every tag of a run, limited or not. Its server answers with a write to its database; where
that meets another one, as it does right after the run before, the question fails and is asked again two
seconds later (Prefect 3.8 with SQLite): two seconds before each training but the first.
"""

from __future__ import annotations

import functools
from typing import ParamSpec, TypeVar
from uuid import UUID

from prefect import Task
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound

P = ParamSpec("P")
R = TypeVar("R")


def with_limited_tags(task: Task[P, R]) -> Task[P, R]:
    """The task with those of its tags alone that have a limit (`prefect concurrency-limit create`), as it was
    when the running flow first asked. Outside a flow the task as it is."""
    context = FlowRunContext.get()
    if not task.tags or context is None or context.flow_run is None:
        return task
    chosen = task.with_options()
    chosen.tags = {tag for tag in task.tags if _has_limit(tag, context.flow_run.id)}
    return chosen


@functools.lru_cache(maxsize=64)
def _has_limit(tag: str, flow_run: UUID) -> bool:
    """Whether a tag has a limit; asked once a flow run."""
    with get_client(sync_client=True) as client:
        try:
            client.read_concurrency_limit_by_tag(tag)
        except ObjectNotFound:
            return False
    return True
