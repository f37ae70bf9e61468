"""The whole way: merge, validate, fit, package, measure, decide, register, deploy, report.

Order only: each line is a task. A run that would make what there is ends `Unchanged` here, within seconds;
what else there is to do is in `flows.parts.make_and_ship`.
"""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from flows.ending import ENDINGS
from flows.outcome import LEFT, Outcome
from flows.parts.end import run_failed, run_lost
from flows.parts.graph import step
from flows.parts.in_mlflow import in_mlflow
from flows.parts.late_watch import late_ending
from flows.parts.nothing_to_do import ending_without_work, look_back
from flows.prefect_runs import close_flow_runs, newer_run, run_name
from flows.project import OpenProject, open_project
from flows.shown.names import named_run
from release.registry.tracking.flow_run import Tracked
from release.runs.alone import alone
from release.targets.deploy import refuse_impossible
from tasks.data.merge import merge
from tasks.judge.find_champion import find_champion
from tasks.release.reconcile import reconcile


@flow(name="retrain", flow_run_name=named_run, on_failure=[run_failed], on_crashed=[run_failed])
def retrain(
    config: Path, home: Path | None = None, backbone: str | None = None, force: bool = False
) -> State[Outcome]:
    """Retrain the project of `config`; ends `Deployed`, `Rejected`, `NeedsConsent`, `Unchanged`, `Busy`,
    `Held`, `Undone`, `Unconfirmed`, `RolledBack`, or failed with the reason.

    Args:
        force: train also where nothing differs from what the champion was made of.

    Raises:
        flows.config.messages.ConfigError: the configuration cannot be used.
        sources.errors.DataError: a source is not what the configuration says.
    """
    opened = open_project(config, home, backbone)
    refuse_impossible(opened.home, opened.project.name, opened.project.deploy)
    close_flow_runs(run_lost)
    if newer := newer_run(ENDINGS):
        return opened.ended("unchanged", reasons=(f"{LEFT}{newer}",))
    with alone(opened.home, opened.project.name, run_name()) as busy:
        return opened.ended("busy", reasons=(busy,)) if busy else _retrain(opened, force=force)


def _retrain(opened: OpenProject, *, force: bool) -> State[Outcome]:
    project = opened.project
    step(reconcile)(opened.home, project.name, project.registry, project.deploy)
    if late := late_ending(opened.home, project.name):
        return opened.ended(**late)
    return in_mlflow(opened, "retrain", lambda tracked: _work(opened, tracked, force=force))


def _work(opened: OpenProject, tracked: Tracked | None, *, force: bool) -> State[Outcome]:
    project, name, state = opened.project, opened.project.name, opened.home
    data = step(merge)(project.sources, project.heads, project.split, base=opened.base, out=state.data)
    opened.check_labels(data.heads)
    champion = step(find_champion)(state, name)
    standing = look_back(opened, data, champion)
    if not force and (ending := ending_without_work(opened, standing)):
        return opened.ended(**ending)

    from flows.parts.make_and_ship import make_and_ship, ship_unfinished  # late: loads what trains and draws

    if not force and (shipped := ship_unfinished(opened, standing, champion, tracked)):
        return shipped
    return make_and_ship(opened, data, standing, champion=champion, fresh=force, tracked=tracked)
