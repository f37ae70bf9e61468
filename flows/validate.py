"""Merge and judge the data only: what runs every day, and what `headgate validate` shows.

Order only. When the data has drifted beyond its fail level, an event starts a retraining through the
automation of its deployment: once for the same data, and at most once in `schedule.cooldown`.
"""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from expectations.contract.findings import unused_remarks
from flows.ending import ENDINGS
from flows.notify.ending import told_drift
from flows.parts.consent import needs_remarks
from flows.parts.end import run_failed
from flows.parts.graph import asking, step
from flows.parts.late_watch import late_ending
from flows.parts.look_at_data import look_at_data
from flows.prefect_runs import newer_run
from flows.project import open_project
from flows.schedule.drift import tell_drift
from flows.shown.names import named_run
from tasks.data.merge import merge
from tasks.data.prepare_run import prepare_run
from tasks.judge.check_contract import check_contract
from tasks.judge.find_champion import find_champion


@flow(name="validate", flow_run_name=named_run, on_failure=[run_failed], on_crashed=[run_failed])
def validate(config: Path, home: Path | None = None, backbone: str | None = None) -> State:
    """Judge the data of `config`; ends `Accepted` or `Rejected`; `Unchanged` where a newer run does it, or as
    the watch over a deployment ended. Nothing is trained.

    Raises:
        flows.config.messages.ConfigError: the configuration cannot be used.
        sources.errors.DataError: a source is not what the configuration says.
    """
    opened = open_project(config, home, backbone)
    if newer := newer_run(ENDINGS):
        return opened.ended("unchanged", reasons=(f"left to a newer run of this schedule: {newer}",))
    project, state = opened.project, opened.home
    if late := late_ending(state, project.name, begun_only=True):
        return opened.ended(**late)
    data = step(merge)(project.sources, project.heads, project.split, base=opened.base, out=state.data)
    opened.check_labels(data.heads)
    champion = step(find_champion)(state, project.name)
    run = asking(prepare_run, [data])(
        project.name, data, project.backbone, project.train, config=config, home=state
    )
    quality, changed = look_at_data(opened, data, run, champion)
    renamed = () if changed is None else changed.renamed
    contract = step(check_contract, [data, champion])(
        data.heads, project.gates, champion=champion, renamed=renamed
    )
    remarks = (*quality.warnings, *unused_remarks(contract), *needs_remarks(contract, champion))
    if quality.drifted:
        tell_drift(state, project, config, data.fingerprint, quality.drifted)
        told_drift(state, project.name, config, quality)
    if quality.verdict.outcome == "fail":
        return opened.ended(
            "data_rejected", reasons=quality.verdict.reasons, remarks=remarks, pages=quality.pages
        )
    return opened.ended("validated", remarks=remarks, pages=quality.pages)
