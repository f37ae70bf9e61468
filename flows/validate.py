"""Merge and judge the data only: what runs every day, and what `headgate validate` shows.

Order only. When the data has drifted beyond its fail level, an event starts a retraining through the
automation in `prefect.yaml`.
"""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from flows.prefect_runs import newer_run
from flows.project import open_project
from tasks.data.emit_drift_event import emit_drift_event
from tasks.data.merge import merge
from tasks.data.prepare_run import prepare_run
from tasks.data.validate_data import validate_data
from tasks.data.weigh_chances import weigh_chances
from tasks.judge.find_champion import find_champion


@flow(name="validate")
def validate(config: Path, home: Path | None = None, backbone: str | None = None) -> State:
    """Judge the data of `config`; ends `Accepted` or `Rejected`. Nothing is trained.

    Raises:
        flows.config.messages.ConfigError: the configuration cannot be used.
        sources.errors.DataError: a source is not what the configuration says.
    """
    opened = open_project(config, home, backbone)
    if newer := newer_run():
        return opened.ended("unchanged", reasons=(f"left to a newer run of this schedule: {newer}",))
    project, state = opened.project, opened.home
    data = merge(project.sources, project.heads, project.split, base=opened.base, out=state.data)
    opened.check_labels(data.heads)
    champion = find_champion(state, project.name)
    run = prepare_run(project.name, data, project.backbone, project.train, config=config, home=state)
    chances = weigh_chances(data, run, project.gates, champion=champion)
    quality = validate_data(
        data, run, project.data_rules, chances=chances, champion=champion, base=opened.base
    )
    if quality.drifted:
        emit_drift_event(project.name, config, quality.drifted)
    if quality.verdict.outcome == "fail":
        return opened.ended(
            "data_rejected", reasons=quality.verdict.reasons, remarks=quality.warnings, pages=quality.pages
        )
    return opened.ended("validated", remarks=quality.warnings, pages=quality.pages)
