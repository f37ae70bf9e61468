"""The deployments of a project on a Prefect server, as values: what `headgate schedule` makes there and what
stands in `prefect.yaml`. Does not know the server.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.config.schema import Project
from flows.schedule.record import GRACE_S as GRACE_S
from flows.schedule.record import POOL as POOL
from flows.state_folder import FOLDER, config_home
from model.bundle.telemetry import SWITCHES
from tasks.data.emit_drift_event import DRIFT_EVENT, project_resource

QUEUE = "default"
LIMIT = 1
"""Runs of one deployment at a time."""
COLLISION = "ENQUEUE"
"""A run that finds the place taken waits for it."""

ENVIRONMENT: Mapping[str, str] = {
    # A file or folder `tasks` or `model` where the worker was started must not take our packages' place.
    "PYTHONSAFEPATH": "1",
    # The lines of each step belong to the run's log.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "headgate",
    # Telemetry is off from the first import on.
    **SWITCHES,
}
"""Variables of a run's process."""
JOB: Mapping[str, Any] = {
    "env": dict(ENVIRONMENT),
    # What a run prints is in its log on the server. Else it went to the worker, too, through a pipe, which
    # breaks when the worker is killed and ends each run that goes on.
    "stream_output": False,
}
"""How a worker starts the process of a run: Prefect's job variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One flow of one project, as it is deployed."""

    flow: str
    """Name of the flow and of its module in `flows`."""
    project: str
    description: str
    parameters: Mapping[str, Any]
    cron: str | None = None
    """When it starts; None: by hand or by an event."""
    timezone: str = "UTC"
    triggers: tuple[Mapping[str, Any], ...] = field(default=())
    """Events that start it, as `prefect.yaml` writes them."""

    @property
    def name(self) -> str:
        """Name of the deployment, which no other project and no other flow has."""
        return f"{self.flow} {self.project}"

    @property
    def entrypoint(self) -> str:
        """The flow as a module, not a file: a file would register it under a bare name."""
        return f"flows.{self.flow}.{self.flow}"


def deployments(project: Project, config: Path, home: Path | None = None) -> tuple[Deployment, ...]:
    """The deployments of a project.

    Args:
        config: its configuration, from the folder that runs start in.
        home: state folder; None: `.headgate` next to the configuration.
    """
    schedule, named = project.schedule, {"config": str(config)}
    if home is not None:
        named["home"] = str(home)
    cooldown_s = int(schedule.cooldown_span.total_seconds())
    drift = {
        "name": f"retrain {project.name} when its data drifts",
        "type": "event",
        "match": {"prefect.resource.id": project_resource(project.name)},
        "expect": [DRIFT_EVENT],
        "threshold": 1,
        "within": cooldown_s,
    }

    def one(flow: str, description: str, **more: Any) -> Deployment:
        known: dict[str, Any] = {"parameters": named, "timezone": schedule.timezone, **more}
        return Deployment(flow=flow, project=project.name, description=description, **known)

    return (
        one(
            "retrain",
            "Retrain, gate, register and deploy, on a schedule and when the data has drifted.",
            cron=schedule.cron,
            triggers=(drift,),
        ),
        one("validate", "Judge the data only, on a schedule.", cron=schedule.validate_cron),
        one("rollback", "Go back to the former champion; run by hand."),
        one(
            "judge",
            "Time and judge a registered version again (`version`), without training; run by hand.",
            parameters={"name": project.name, "home": str(home or config.parent / FOLDER)},
        ),
    )


def plan_from_here(project: Project, config: Path, home: Path | None = None) -> tuple[Deployment, ...]:
    """The deployments of a project whose runs start in the current folder.

    Args:
        config: its configuration.
        home: `--home`. It or `HEADGATE_HOME` is written into the deployments: a worker may not have it.
    """
    state = config_home(config, home)
    default = state == config.parent.resolve() / FOLDER
    return deployments(project, from_here(config), None if default else from_here(state))


def from_here(path: Path) -> Path:
    """A path as seen from the current folder where it lies in it, else absolute; links are left alone."""
    absolute = Path(os.path.normpath(path.absolute()))
    here = Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute
