"""Prefect's view of flows: what it keeps of them, runs that would stay RUNNING, servers that nobody stops.

A run carries the process that executes it as a label, a temporary server the one that started it in its
environment; both are compared with the processes of this machine. Does not know what the flows do.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import socket
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import psutil

from flows.schedule.record import GRACE_S, POOL
from model.bundle.masking import error_without_secret, masked
from release.home import Home
from report.progress import LOGGER
from serving.processes import counts_alike, process_start

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState
    from prefect.client.schemas.objects import FlowRun

LABEL = "headgate.process"
"""Label of a flow run: host, process id and start of the process that executes it."""
TAG = "headgate-process="
"""Prefix of the tag that runs of older versions carry in its place."""
ENGINE_LOGGERS = ("prefect.flow_runs", "prefect.engine")
"""By which Prefect tells that a flow ended by an exception."""
AN_ENDING = "Unexpected result for failed state: Outcome("
"""What Prefect makes of a flow that names its ending, such as `Rejected`, in a process of its own."""
OPEN = ("RUNNING", "PENDING", "CANCELLING")
"""Types of states in which a run has begun and not ended."""
BEGINS_WITHIN = timedelta(seconds=3 * GRACE_S)
"""How long a run that a worker took may take to begin; its place is free again after a third of it."""
NEVER_BEGAN = "its worker was killed before the run began"
LEFT_WITHIN = timedelta(days=31)
"""How long before a run the one may have been due that left its work to it."""
OWNER_VARIABLE = "HEADGATE_PROCESS"
"""Set for what a flow starts: process id and start of the flow's process."""


def process_label() -> str:
    """The label of runs that this process executes."""
    return f"{socket.gethostname()}:{_me()}"


def own_temporary_server() -> None:
    """Mark temporary Prefect servers that this process starts, so that one left behind can be found."""
    os.environ[OWNER_VARIABLE] = _me()


def log_to_prefect() -> None:
    """Keep the lines of `report.progress` with the flow run that they belong to."""
    from prefect.logging.handlers import APILogHandler

    logger = logging.getLogger(LOGGER)
    if not any(isinstance(handler, APILogHandler) for handler in logger.handlers):
        logger.addHandler(APILogHandler())
    logger.setLevel(logging.INFO)
    logger.propagate = False  # the terminal has these lines already
    if _in_a_run not in logger.filters:
        logger.addFilter(_in_a_run)
    for name in ENGINE_LOGGERS:
        if _no_ending not in (engine := logging.getLogger(name)).filters:
            engine.addFilter(_no_ending)


def _in_a_run(record: logging.LogRecord) -> bool:
    """Whether a line belongs to a run: others, of commands, have nowhere to go in Prefect."""
    from prefect.context import FlowRunContext, TaskRunContext

    return FlowRunContext.get() is not None or TaskRunContext.get() is not None


def _no_ending(record: logging.LogRecord) -> bool:
    """Whether a line tells of an error. Prefect takes a state of type `FAILED` that holds a result for one,
    and writes a traceback into the log of each run that a gate rejects."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, TypeError) and str(error).startswith(AN_ENDING))


def parts_of(runs: Collection[UUID]) -> FlowRunFilter:
    """The flows below these runs."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

    return FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=list(runs)))


def mask_states() -> None:
    """Mask what Prefect keeps of a run besides its log: the message of every state that is made in this
    process, of flows and tasks, and the errors that it stores as their results. Calling it again changes
    nothing.

    Where states are made, because it sends them in several ways, and makes some itself: of a crash, of
    parameters that do not fit, of a server that it can't reach.
    """
    from prefect.client.schemas.objects import State
    from prefect.results import ResultStore

    if hasattr(State.__init__, "__wrapped__"):
        return
    make, keep = State.__init__, ResultStore.create_result_record

    @functools.wraps(make)
    def made(self: State[Any], **fields: Any) -> None:
        if isinstance(message := fields.get("message"), str):
            fields["message"] = masked(message)
        make(self, **fields)

    @functools.wraps(keep)
    def kept(self: ResultStore, obj: Any, *args: Any, **options: Any) -> Any:
        safe = error_without_secret(obj) if isinstance(obj, BaseException) else obj
        return keep(self, safe, *args, **options)

    # Prefect has no hook before a state is sent, only after it was.
    State.__init__ = made  # type: ignore[method-assign]
    ResultStore.create_result_record = kept  # type: ignore[method-assign]


def mark_flow_run() -> None:
    """Note at the run that this process executes which process that is."""
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    if run is not None:
        with get_client(sync_client=True) as client:
            client.update_flow_run_labels(run.id, {LABEL: process_label()})


def run_name() -> str:
    """Name of the run that this process executes; empty outside of one."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return context.flow_run.name if context is not None and context.flow_run is not None else ""


def newer_run(named: Collection[str] = ()) -> str:
    """The newest run of this run's deployment, with its parameters, that is due or was run, in words, where
    this one is scheduled and older: of the runs that were missed while no worker was there, the newest does
    the work. Empty for any other run, and for one that an earlier run left its work to: where each begins
    after the next is due, none would ever do it.

    Args:
        named: names of states in which a run did its work, whatever their type.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    if run is None or not run.auto_scheduled or run.deployment_id is None or run.expected_start_time is None:
        return ""
    mine, words = run.expected_start_time, "due at {:%Y-%m-%d %H:%M} UTC"
    lost = (StateType.FAILED, StateType.CRASHED, StateType.CANCELLED, StateType.CANCELLING)
    with get_client(sync_client=True) as client:
        newer = {
            one.expected_start_time: one.name
            for one in _due_between(client, run.deployment_id, mine, datetime.now(UTC))
            if one.parameters == run.parameters
            and (one.state_type not in lost or one.state_name in named)
            and one.expected_start_time is not None
            and one.expected_start_time > mine
        }
        if not newer:
            return ""
        older = _due_between(client, run.deployment_id, mine - LEFT_WITHIN, mine)
    if any(one.state is not None and words.format(mine) in (one.state.message or "") for one in older):
        return ""
    return f"{newer[max(newer)]}, {words.format(max(newer))}"


def _due_between(
    client: SyncPrefectClient, deployment: UUID, after: datetime, before: datetime
) -> list[FlowRun]:
    """The newest runs of a deployment that were due in this time."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterDeploymentId,
        FlowRunFilterExpectedStartTime,
    )
    from prefect.client.schemas.sorting import FlowRunSort

    due = FlowRunFilterExpectedStartTime.model_validate({"after_": after, "before_": before})
    of_it = FlowRunFilterDeploymentId(any_=[deployment])
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(deployment_id=of_it, expected_start_time=due),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=200,
    )


def close_flow_runs(ended: Callable[[str, Mapping[str, Any], str], None] | None = None) -> list[str]:
    """Set runs that a dead process of this machine left open to `Crashed`; one sentence each.

    Args:
        ended: called with flow, parameters and reason of each: Prefect calls no hook of theirs.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.states import Crashed

    wanted = FlowRunFilter(state=_in(OPEN))
    done: list[str] = []
    deployments: set[UUID | None] = set()
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=wanted, limit=200):
            never = _never_began(run)
            if not never and not _left_behind(_process_of(run)):
                continue
            why = NEVER_BEGAN if never else "its process ended before it could close the run"
            for below in client.read_flow_runs(flow_run_filter=parts_of([run.id])):
                if below.state_type in OPEN:
                    client.set_flow_run_state(below.id, Crashed(message=why), force=True)
            client.set_flow_run_state(run.id, Crashed(message=why), force=True)
            if ended is not None:
                ended(client.read_flow(run.flow_id).name, run.parameters, why)
            deployments.add(run.deployment_id)
            done.append(f"closed the flow run {run.name}, which its process left open")
        _keep_slots(client, deployments)
    return done


def _in(types: Collection[str]) -> FlowRunFilterState:
    from prefect.client.schemas.filters import FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType

    return FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType(one) for one in types]))


def _never_began(run: FlowRun) -> bool:
    """Whether a worker of ours took it, long ago, and no process ever began it: the worker was killed."""
    if run.state_type != "PENDING" or run.work_pool_name != POOL or run.state is None or _process_of(run):
        return False
    return datetime.now(UTC) - run.state.timestamp > BEGINS_WITHIN


def _process_of(run: FlowRun) -> str:
    """The process that executes a run, as far as the run says it."""
    tagged = next((tag.removeprefix(TAG) for tag in run.tags if tag.startswith(TAG)), "")
    return str((run.labels or {}).get(LABEL, tagged))


def _keep_slots(client: SyncPrefectClient, closed: Collection[UUID | None]) -> None:
    """Take back the slots of runs that go on, where closing a dead run of their deployment freed them.

    Prefect frees the slot of a dead run when its lease ends, and once more when the run is closed without a
    lease: then it is the slot that another run holds, and the next one would run beside it.
    """
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId

    for deployment in {one for one in closed if one is not None}:
        limit = client.read_deployment(deployment).global_concurrency_limit
        if limit is None:
            continue
        # Those that have begun: one that a worker took may never begin, and would hold a place for ever.
        of_it = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[deployment]), state=_in(("RUNNING",))
        )
        missing = min(limit.limit, len(client.read_flow_runs(flow_run_filter=of_it))) - limit.active_slots
        if missing > 0:
            with contextlib.suppress(httpx.HTTPStatusError):  # taken by now: the project's lock holds
                client.increment_concurrency_slots([limit.name], slots=missing, mode="concurrency")


def end_orphan_servers(home: Home) -> list[str]:
    """End temporary Prefect servers of this home whose flow is gone: they would hold its database."""
    done = []
    for process in psutil.process_iter():
        try:
            given = process.environ()
        except (psutil.Error, OSError):
            continue  # not ours to read, or gone meanwhile
        if given.get("PREFECT__SERVER_EPHEMERAL") != "1":
            continue
        if given.get("PREFECT_HOME") != str(home.root.resolve() / "prefect"):
            continue
        if counts_alike(process.pid) and _gone(given.get(OWNER_VARIABLE, "")):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
            done.append(f"ended the Prefect server {process.pid}, which a flow left behind")
    return done


def _me() -> str:
    return f"{os.getpid()}:{process_start(os.getpid())}"


def _left_behind(tag: str) -> bool:
    host, _, process = tag.partition(":")
    return host == socket.gethostname() and _gone(process)


def _gone(process: str) -> bool:
    """Whether `PID:START` names a process that no longer runs; nothing else is known to be gone."""
    pid, _, start = process.partition(":")
    return pid.isdigit() and start.isdigit() and process_start(int(pid)) != int(start)
