"""The arrows of a flow's graph, the time that a step may take, and what is tried again.

Prefect draws an arrow for every result that it finds anywhere in a task's arguments: references that hold
others draw hundreds, and above 500 its page shows none. Here a step names what it comes after, and its
arguments are passed as they are. Does not know what the steps do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from prefect import Task, flow
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.task_engine import TaskRunTimeoutError
from prefect.tasks import exponential_backoff
from prefect.utilities.annotations import quote
from prefect.utilities.engine import get_state_for_result, link_state_to_result

from flows.parts.limits import with_limited_tags
from flows.runner import LONGEST_STEP_S
from model.errors import HeadgateError
from model.jobs.process import TookTooLong, at_most
from release.registry.client import SILENT, RegistryAway

P = ParamSpec("P")
R = TypeVar("R")

STEP_S: ContextVar[float] = ContextVar("STEP_S", default=LONGEST_STEP_S)
"""Longest time of one step, in seconds (`runner.step_timeout_s`)."""
TRIES_AGAIN = 2
BACK_OFF_S = 2
"""Pause before the first further try of a step that asks somebody outside, in seconds; then twice as long."""


class StepTooLong(HeadgateError):
    """A step took longer than it may, and was ended."""


class _Arrow:
    """Stands for the run that gave a result, and for nothing that the result holds."""


def step(task: Task[P, R], after: Iterable[object] = ()) -> Callable[P, R]:
    """The task as a function, whose arrows come from `after` alone.

    Args:
        after: results of the steps and parts that it comes after; whatever else is passed over.

    Raises:
        StepTooLong: it took longer than a step may (`runner.step_timeout_s`).
    """

    def call(*given: P.args, **named: P.kwargs) -> R:
        longest_s = STEP_S.get()
        limited: Any = with_limited_tags(task).with_options(timeout_seconds=longest_s)
        arguments = {name: quote(value) for name, value in named.items()}
        # Prefect's own limit ends what Python does; a process that is waited for in another thread is ended
        # by the second one.
        with too_long_told(task.name, longest_s), at_most(longest_s):
            found: R = limited(*map(quote, given), **arguments, wait_for=arrows(after))
        return found

    return call


@contextmanager
def too_long_told(name: str, longest_s: float) -> Iterator[None]:
    """Meanwhile a step that takes too long says which setting it is that it took longer than.

    Raises:
        StepTooLong: it did.
    """
    try:
        yield
    except (TaskRunTimeoutError, TookTooLong) as error:
        raise StepTooLong(
            f"step {name}: took longer than {longest_s:g} s and was ended; raise "
            f"`runner.step_timeout_s` (now {longest_s:g})"
        ) from error


def renewed(new: R, result: object) -> R:
    """`new`, which stands for a step's result that was completed since."""
    known = get_state_for_result(result)
    if known is not None:
        link_state_to_result(known[0], new, known[1])
    return new


def asking(task: Task[P, R], after: Iterable[object] = ()) -> Callable[P, R]:
    """As `step`, of a task that asks a hub or registry: tried again where that gave no answer."""
    patient = task.with_options(
        retries=TRIES_AGAIN,
        retry_delay_seconds=exponential_backoff(BACK_OFF_S),
        retry_condition_fn=gave_no_answer,
    )
    return step(patient, after)


def part(name: str, work: Callable[[], R], after: Iterable[object] = ()) -> R:
    """The result of `work`, whose steps are a flow of their own below the running one."""
    if FlowRunContext.get() is None:
        return work()
    below: Any = flow(name=name, flow_run_name=name, validate_parameters=False)(_without_parameters(work))
    # The whole flow says that it lives. As a part ends, Prefect would wait up to a second for the thread that
    # says so of the part.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        found: R = below(wait_for=arrows(after))
    return found


def arrows(after: Iterable[object]) -> list[_Arrow]:
    """What Prefect draws arrows from."""
    found = []
    for one in after:
        known = get_state_for_result(one)
        if known is None or one is None:
            continue
        state, kind = known
        arrow = _Arrow()
        link_state_to_result(state, arrow, kind)
        found.append(arrow)
    return found


def gave_no_answer(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a step failed because whoever it asked gave no answer."""
    error = getattr(state.data, "result", state.data)
    seen = 0
    while isinstance(error, BaseException) and seen < 10:
        if isinstance(error, RegistryAway) or SILENT & {kind.__name__ for kind in type(error).__mro__}:
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def _without_parameters(work: Callable[[], R]) -> Callable[[], R]:
    def steps() -> R:
        return work()

    return steps
