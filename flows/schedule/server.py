"""Make the deployments of a project on the Prefect server, look at them, remove them.

What is there already as it should be is left alone, so that its runs stay scheduled; what a person paused
stays paused. Does not know the configuration.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.automations import Automation
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.utilities.callables import parameter_schema

from flows.schedule.plan import COLLISION, GRACE_S, JOB, LIMIT, POOL, QUEUE, Deployment
from model.errors import HeadgateError

PULL = "prefect.deployments.steps.set_working_directory"
"""The step by which a run starts in a folder; what `prefect deploy` notes, too."""
Change = Literal["made", "changed", "as it was", "removed", "was not there"]


class AnotherProject(HeadgateError):
    """The server has deployments of that name for another configuration."""

    kind = "usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one deployment."""

    name: str
    change: Change
    detail: str = ""
    """What differed, or when it starts."""


def apply(plan: Sequence[Deployment]) -> list[Done]:
    """Make the server's deployments those of `plan`, whose runs start in the current folder.

    Raises:
        AnotherProject: they belong to another configuration; nothing was changed.
        httpx.HTTPError: the server can't be reached, or refused.
    """
    with get_client(sync_client=True) as client:
        _refuse_another(client, plan)
        _ensure_pool(client)
        done = [_apply_one(client, one) for one in plan]
        for one in plan:
            former = _former(client, one)
            if former is not None:
                _remove(client, former)
                done.append(
                    Done(name=f"{one.flow}/{former.name}", change="removed", detail="its former name")
                )
    return done


def remove(plan: Sequence[Deployment]) -> list[Done]:
    """Take the deployments of `plan` off the server, with their automations and the runs that wait."""
    done = []
    with get_client(sync_client=True) as client:
        for one in plan:
            found = _found(client, one)
            if found is not None:
                _remove(client, found)
            done.append(Done(name=one.name, change="removed" if found else "was not there"))
    return done


def look(plan: Sequence[Deployment]) -> list[tuple[str, str]]:
    """(Name, how the server has it) of each deployment of `plan`."""
    shown = []
    with get_client(sync_client=True) as client:
        for one in plan:
            found = _found(client, one)
            if found is None:
                shown.append((one.name, "not on the server; `headgate schedule CONFIG` makes it"))
                continue
            differs = _differences(client, one, found)
            words = [_when(found)]
            words += ["paused"] if found.paused else []
            words += [f"differs from the configuration: {', '.join(differs)}"] if differs else []
            shown.append((one.name, "; ".join(words)))
    return shown


def _apply_one(client: SyncPrefectClient, one: Deployment) -> Done:
    found = _found(client, one)
    differs = [] if found is None else _differences(client, one, found)
    if found is not None and not differs:
        return Done(name=one.name, change="as it was", detail=_when(found))
    active = found is None or all(schedule.active for schedule in found.schedules)
    schedules = []
    if one.cron is not None:
        cron = CronSchedule(cron=one.cron, timezone=one.timezone)
        schedules.append(DeploymentScheduleCreate(schedule=cron, active=active))
    flow = getattr(importlib.import_module(f"flows.{one.flow}"), one.flow)
    made = client.create_deployment(
        flow_id=client.create_flow_from_name(one.flow),
        name=one.name,
        description=one.description,
        entrypoint=one.entrypoint,
        parameters=dict(one.parameters),
        parameter_openapi_schema=parameter_schema(flow).model_dump(exclude_unset=True),
        enforce_parameter_schema=True,
        schedules=schedules,
        concurrency_limit=LIMIT,
        concurrency_options=ConcurrencyOptions(
            collision_strategy=ConcurrencyLimitStrategy(COLLISION), grace_period_seconds=GRACE_S
        ),
        work_pool_name=POOL,
        work_queue_name=QUEUE,
        job_variables=dict(JOB),
        pull_steps=[{PULL: {"directory": str(Path.cwd())}}],
    )
    client.delete_resource_owned_automations(f"prefect.deployment.{made}")
    for raw in one.triggers:
        trigger = DeploymentEventTrigger.model_validate(raw)
        trigger.set_deployment_id(made)
        client.create_automation(trigger.as_automation())
    return Done(
        name=one.name,
        change="made" if found is None else "changed",
        detail=_when(client.read_deployment(made)) if found is None else ", ".join(differs),
    )


def _found(client: SyncPrefectClient, one: Deployment, name: str | None = None) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(f"{one.flow}/{name or one.name}")
    except ObjectNotFound:
        return None


def _remove(client: SyncPrefectClient, found: DeploymentResponse) -> None:
    client.delete_resource_owned_automations(f"prefect.deployment.{found.id}")
    client.delete_deployment(found.id)


def _former(client: SyncPrefectClient, one: Deployment) -> DeploymentResponse | None:
    """The deployment of the same flow and configuration under the name that Headgate 0.1 gave it."""
    found = _found(client, one, one.project)
    same = found is not None and found.entrypoint == one.entrypoint and _project(found) == _planned(one)
    return found if same else None


def _refuse_another(client: SyncPrefectClient, plan: Sequence[Deployment]) -> None:
    for one in plan:
        if "config" not in one.parameters:
            continue  # the others of the plan say whose it is
        found = _found(client, one)
        if found is not None and _project(found) != _planned(one):
            raise AnotherProject(
                f"the Prefect server has {one.name!r} for {_project(found)}, not for {_planned(one)}: two "
                "projects on one server need two names. Change the `name` in one configuration, or, where "
                "the project was moved, run `headgate schedule --remove CONFIG` first"
            )


def _project(found: DeploymentResponse) -> str:
    return _place(found.parameters, _directory(found.pull_steps or []))


def _planned(one: Deployment) -> str:
    return _place(one.parameters, str(Path.cwd()))


def _place(parameters: Mapping[str, Any], directory: str) -> str:
    """The configuration of a deployment, or the state folder where it has none, as an absolute path."""
    named = parameters.get("config") or parameters.get("home") or ""
    return os.path.normpath(Path(directory) / str(named))


def _directory(steps: Sequence[Mapping[str, Any]]) -> str:
    return next((str(step[PULL].get("directory", "")) for step in steps if PULL in step), "")


def _differences(client: SyncPrefectClient, one: Deployment, found: DeploymentResponse) -> list[str]:
    """What the server has otherwise than planned, in words."""
    options, limit = found.concurrency_options, found.global_concurrency_limit
    crons = [
        (one.schedule.cron, one.schedule.timezone) if isinstance(one.schedule, CronSchedule) else ("", "")
        for one in found.schedules
    ]
    wanted = [] if one.cron is None else [(one.cron, one.timezone)]
    same = {
        "schedule": crons == wanted,
        "parameters": found.parameters == dict(one.parameters),
        "folder": _directory(found.pull_steps or []) == str(Path.cwd()),
        "description": found.description == one.description,
        "entry point": found.entrypoint == one.entrypoint,
        "work pool": (found.work_pool_name, found.work_queue_name) == (POOL, QUEUE),
        "variables": found.job_variables == JOB,
        "runs at a time": limit is not None
        and limit.limit == LIMIT
        and options is not None
        and (options.collision_strategy.value, options.grace_period_seconds) == (COLLISION, GRACE_S),
        "events": _is_started_by(client, found, one),
    }
    return [word for word, holds in same.items() if not holds]


def _is_started_by(client: SyncPrefectClient, found: DeploymentResponse, one: Deployment) -> bool:
    """Whether the server has every event of the plan; what somebody added to them does not matter."""
    related: list[Automation] = client.read_resource_related_automations(f"prefect.deployment.{found.id}")
    there = [_essence({"name": one.name, **one.trigger.model_dump(mode="json")}) for one in related]
    return all(_essence(trigger) in there for trigger in one.triggers)


def _essence(trigger: Mapping[str, Any]) -> dict[str, Any]:
    """What makes two triggers the same."""
    dumped = DeploymentEventTrigger.model_validate(dict(trigger)).model_dump(mode="json")
    return {key: dumped[key] for key in ("name", "match", "expect", "threshold", "within", "posture")}


def _when(found: DeploymentResponse) -> str:
    crons = [one.schedule for one in found.schedules if isinstance(one.schedule, CronSchedule)]
    return ", ".join(f"at {cron.cron} {cron.timezone}" for cron in crons) or "by hand"


def _ensure_pool(client: SyncPrefectClient) -> None:
    """The work pool, as a worker of type `process` would make it."""
    from prefect.workers.process import ProcessWorker

    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        try:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
        except ObjectAlreadyExists:
            return  # a worker was faster
