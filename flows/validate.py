"""Merge and judge the data only: what runs every day, and what `headgate validate` shows.

Order only. When the data has drifted beyond its fail level an event says so, which the automation in
`prefect.yaml` answers with a retraining.
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
from release.champion import current_champion
from release.home import Home
from tasks.data.emit_drift_event import tell_of_drift
from tasks.data.merge import merge
from tasks.data.prepare_run import prepare_run
from tasks.data.validate_data import validate_data


@flow(name="validate")
def validate(config: Path, home: Path | None = None, backbone: str | None = None) -> State:
    """Judge the data of `config`; ends `Accepted` or `Rejected`. Nothing is trained.

    Raises:
        flows.config.schema.ConfigError: the configuration cannot be used.
        sources.errors.DataError: a source is not what the configuration says.
    """
    started_s = time.monotonic()
    folder = config_home(config, home)
    prepare(folder, on_console=False)
    mark_flow_run()
    project, state = load_project(config, backbone=backbone), Home(folder)
    data = merge(project.sources, project.heads, project.split, base=config.resolve().parent, out=state.data)
    champion = current_champion(state, project.name)
    run = prepare_run(project.name, data, project.backbone, project.train, config=config, home=state)
    quality = validate_data(data, run, project.data_rules, champion=champion, base=config.resolve().parent)
    if quality.drifted:
        tell_of_drift(project.name, config, quality.drifted)
    rejected = quality.verdict.outcome == "fail"
    return ending(
        Outcome(
            stage="data_rejected" if rejected else "validated",
            name=project.name,
            reasons=quality.verdict.reasons if rejected else quality.warnings,
            pages=quality.pages,
            seconds=time.monotonic() - started_s,
        )
    )
