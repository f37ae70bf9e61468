"""What `headgate schedule` does for several projects: on the server, and in each state folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from flows.config.schema import Project
from flows.parts.end import run_lost
from flows.prefect_runs import close_flow_runs
from flows.schedule.plan import plan_from_here
from flows.schedule.record import Scheduled, forget_schedule, keep_schedule, next_starts
from flows.schedule.server import apply, look, remove
from flows.state_folder import config_home
from release.home import Home

Configured = Sequence[tuple[Project, Path]]
"""Projects with their configuration files."""


def schedule_all(projects: Configured, home: Path | None) -> Iterator[str]:
    """Deploy each project; a line for each deployment and each next start. Before that, runs that a dead
    process of this machine left open are closed: a reboot leaves them, and each holds the only place of its
    deployment.

    Raises:
        flows.schedule.server.AnotherProject: the server has another project of that name.
        httpx.HTTPError: the server can't be reached, or refused.
    """
    yield from close_flow_runs(run_lost)
    for project, config in projects:
        for done in apply(plan_from_here(project, config, home)):
            yield f"{done.change:<10} {done.name}" + (f"  ({done.detail})" if done.detail else "")
        state = Home(config_home(config, home))
        kept = Scheduled(
            cron=project.schedule.cron,
            validate_cron=project.schedule.validate_cron,
            timezone=project.schedule.timezone,
            server=os.environ.get("PREFECT_API_URL", ""),
            config=str(config.absolute()),
        )
        keep_schedule(state, project.name, kept)
        for start in next_starts(state, project.name, datetime.now(UTC)):
            yield f"{'next':<10} {start} {project.name}"


def remove_all(projects: Configured, home: Path | None) -> Iterator[str]:
    """Take each project off the server; a line for each deployment."""
    for project, config in projects:
        for done in remove(plan_from_here(project, config, home)):
            yield f"{done.change:<14} {done.name}"
        forget_schedule(Home(config_home(config, home)), project.name)


def show_all(projects: Configured, home: Path | None) -> Iterator[str]:
    """What the server has of each project; a line for each deployment."""
    for project, config in projects:
        for name, words in look(plan_from_here(project, config, home)):
            yield f"{name}: {words}"
