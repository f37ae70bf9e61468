"""What is tidied when a run has ended: what is not kept of files, versions and Prefect's runs.

A run never fails by it: what could not be removed is a line of its log, and the next run tries again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow

from flows.config.load import load_project
from flows.config.schema import Project
from flows.ending import ENDINGS
from flows.notify.ending import told_end, told_failure
from flows.parts.graph import step
from flows.prefect_runs import parts_of
from flows.schedule.failures import note_end, note_failure
from flows.state_folder import config_home
from model.errors import HeadgateError
from release.home import Home
from release.keep.clean import clean as remove
from report.progress import print_line
from tasks.release.clean import clean

MOST_FLOW_RUNS = 200
"""Most flow runs that are removed at once: one a second would hold up a run's end."""
FLOWS = ["retrain", "validate", "sweep", "rollback", "judge"]


def tidy(home: Home, project: Project, config: Path) -> None:
    """Remove what `project` does not keep."""
    try:
        step(clean)(home, project.name, project.registry, project.keep)
    except (HeadgateError, OSError) as error:
        print_line(f"clean: {error}")
    try:
        remove_flow_runs(home, config, project.keep.flow_run_days)
    except Exception as error:  # Prefect's client raises many kinds, and none of them is worth a run
        print_line(f"clean: Prefect's old runs stay for now ({type(error).__name__})")


def run_failed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook of a run that failed or crashed: note it, tell of it, and tidy: a year of failing runs
    must not fill the disk either."""
    note_failure(flow, flow_run, state)
    told_failure(flow, flow_run, state)
    if state.name in ENDINGS:  # the flow named its end itself, and tidied
        return
    with contextlib.suppress(HeadgateError, OSError):
        if "config" in flow_run.parameters:
            config, home = Path(str(flow_run.parameters["config"])), flow_run.parameters.get("home")
            project = load_project(config)
            place = Home(config_home(config, None if home is None else Path(str(home))))
            remove(place, project.name, project.registry, project.keep)


def run_lost(flow: str, parameters: Mapping[str, Any], why: str, end: str = "Crashed") -> None:
    """Note and tell of a run that Prefect calls no hook of: its process was killed, or it never began."""
    note_end(flow, parameters, end, why)
    told_end(flow, parameters, why)


def remove_flow_runs(home: Home, config: Path, days: int, now: datetime | None = None) -> int:
    """Remove this project's runs that ended more than `days` ago from Prefect's database, with their logs and
    artifacts; how many. Those of others on the same server stay."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        ArtifactFilter,
        ArtifactFilterFlowRunId,
        FlowFilter,
        FlowFilterName,
        FlowRunFilter,
        FlowRunFilterEndTime,
    )

    until = (now or datetime.now(UTC)) - timedelta(days=days)
    old, removed = FlowRunFilter(end_time=FlowRunFilterEndTime.model_validate({"before_": until})), 0
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=FLOWS)), flow_run_filter=old, limit=MOST_FLOW_RUNS
        )
        for run in runs:
            given = run.parameters
            if str(given.get("home")) != str(home.root) and not _same(given.get("config"), config):
                continue
            below = [one.id for one in client.read_flow_runs(flow_run_filter=parts_of([run.id]))]
            made = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id, *below]))
            for artifact in client.read_artifacts(artifact_filter=made):
                client.delete_artifact(artifact.id)
            for one in (*below, run.id):
                client.delete_flow_run(one)
            removed += 1
    return removed


def _same(given: object, config: Path) -> bool:
    return given is not None and Path(str(given)).resolve() == config.resolve()
