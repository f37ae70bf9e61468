"""Go back to the former champion, through the same verification as a deployment.

Order only.
"""

from __future__ import annotations

import time
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from flows.config import load_project
from flows.ending import ending
from flows.outcome import Outcome
from flows.place import config_home, prepare
from tasks.home import Home
from tasks.rollback import roll_back


@flow(name="rollback")
def rollback(config: Path, home: Path | None = None, version: int | None = None) -> State:
    """Make the former champion (or `version`) of the project of `config` serve again."""
    started_s = time.monotonic()
    folder = config_home(config, home)
    prepare(folder, on_console=False)
    project, state = load_project(config), Home(folder)
    deployed = roll_back(state, project.name, project.registry, project.deploy, version)
    return ending(
        Outcome(
            stage="rolled_back" if deployed.serves else "deployment_undone",
            name=project.name,
            reasons=() if deployed.serves else (deployed.reason,),
            deployed=deployed.facts,
            seconds=time.monotonic() - started_s,
        )
    )
