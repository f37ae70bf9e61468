"""Emit an event when the data has moved away from what the champion was trained on.

The automation of the retraining's deployment waits for it. It holds names, never texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

DRIFT_EVENT = "headgate.data.drifted"
"""Name of the event."""


def project_resource(name: str) -> str:
    """The resource id of a project, by which an automation knows its drift from another project's."""
    return f"headgate.project.{name}"


@task(name="emit-drift-event", task_run_name="emit-drift-event", cache_policy=NO_CACHE)
def emit_drift_event(name: str, config: Path, drifted: Sequence[str]) -> None:
    """Emit one event that names the project, its configuration and what drifted."""
    emit_event(
        event=DRIFT_EVENT,
        resource={"prefect.resource.id": project_resource(name), "headgate.config": str(config)},
        payload={"drifted": list(drifted)},
    )
