"""Go back to the former champion, through the same verification as a deployment. Order only."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from flows.parts.end import run_failed
from flows.parts.graph import step
from flows.project import open_project
from flows.shown.names import named_run
from tasks.release.roll_back import roll_back


@flow(name="rollback", flow_run_name=named_run, on_failure=[run_failed], on_crashed=[run_failed])
def rollback(config: Path, home: Path | None = None, version: int | None = None) -> State:
    """Make the former champion (or `version`) of the project of `config` serve again.

    Raises:
        flows.config.messages.ConfigError: the configuration cannot be used.
        release.moves.rollback.RollbackRefused: there is nothing to go back to, or it may not serve.
    """
    opened = open_project(config, home)
    done = step(roll_back)(opened.home, opened.project.name, version)
    return opened.ended(
        "rolled_back" if done.deployed else "deployment_undone" if done.end == "undone" else "unconfirmed",
        reasons=(done.reason,) if done.reason else (),
        deployed={"version": done.serving, "url": done.url or "no endpoint is running"},
    )
