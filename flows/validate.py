"""Merge and judge the data only: what runs every day, and what `headgate validate` shows.

Order only. When the data has drifted beyond its fail level an event says so, which the automation in
`prefect.yaml` answers with a retraining.
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
from tasks.champion import current_champion
from tasks.drift_event import tell_of_drift
from tasks.flow_runs import mark_flow_run
from tasks.home import Home
from tasks.merge import merge
from tasks.prepare import prepare_run
from tasks.validate import validate_data


@flow(name="validate")
def validate(config: Path, home: Path | None = None, backbone: str | None = None) -> State:
    """Judge the data of `config`; ends `Accepted` or `Rejected`. Nothing is trained.

    Raises:
        flows.config.ConfigError: the configuration cannot be used.
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
