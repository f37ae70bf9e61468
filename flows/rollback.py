"""Go back to the former champion, through the same verification as a deployment.

Order only.
"""

from __future__ import annotations

import time
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from flows.config.schema import load_project
from flows.ending import ending
from flows.outcome import Outcome
from flows.runs import mark_flow_run
from flows.state_folder import config_home, prepare
from release.home import Home
from release.moves.rollback import rollback as roll_back


@flow(name="rollback")
def rollback(config: Path, home: Path | None = None, version: int | None = None) -> State:
    """Make the former champion (or `version`) of the project of `config` serve again.

    Raises:
        flows.config.schema.ConfigError: the configuration cannot be used.
        release.moves.rollback.RollbackRefused: there is nothing to go back to, or it may not serve.
    """
    started_s = time.monotonic()
    folder = config_home(config, home)
    prepare(folder, on_console=False)
    mark_flow_run()
    project = load_project(config)
    done = roll_back(Home(folder), project.name, version)
    return ending(
        Outcome(
            stage="rolled_back" if done.deployed else "deployment_undone",
            name=project.name,
            reasons=(done.reason,) if done.reason else (),
            deployed={"version": done.serving, "url": done.url or "no endpoint is running"},
            seconds=time.monotonic() - started_s,
        )
    )
