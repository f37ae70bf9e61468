"""The whole way: merge, validate, fit, package, measure, decide, register, deploy, report.

Order only: each line is a task. A gate that does not pass is a value that ends the flow in the state
`Rejected`; exceptions are for what is broken. A run that would make what there is ends `Unchanged`.
"""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from flows.outcome import Outcome
from flows.parts.candidate import JudgedCandidate, make_candidate, note_pages, note_version, taken_up
from flows.parts.conclude import ending_of, release_of, ship
from flows.parts.nothing_to_do import ending_without_work, look_back
from flows.prefect_runs import close_flow_runs, newer_run, run_name
from flows.project import OpenProject, open_project
from release.champion import ChampionRef
from release.registry.candidate import INPUTS_EVIDENCE, candidate_of
from release.runs.alone import alone
from release.saved_settings import Settings
from release.targets.deploy import refuse_impossible
from tasks.data.merge import merge
from tasks.data.prepare_run import prepare_run
from tasks.data.validate_data import validate_data
from tasks.data.weigh_chances import weigh_chances
from tasks.judge.find_champion import find_champion
from tasks.release.log_pages import log_pages
from tasks.release.reconcile import reconcile
from tasks.release.register import register
from tasks.report.publish_artifacts import publish_artifacts
from tasks.report.write_report import write_report


@flow(name="retrain")
def retrain(
    config: Path, home: Path | None = None, backbone: str | None = None, force: bool = False
) -> State[Outcome]:
    """Retrain the project of `config`; ends `Deployed`, `Rejected`, `Unchanged`, `Busy`, or failed with the
    reason.

    Args:
        force: train also where nothing differs from what the champion was made of.

    Raises:
        flows.config.messages.ConfigError: the configuration cannot be used.
        sources.errors.DataError: a source is not what the configuration says.
    """
    opened = open_project(config, home, backbone)
    refuse_impossible(opened.home, opened.project.name, opened.project.deploy)
    close_flow_runs()
    if newer := newer_run():
        return opened.ended("unchanged", reasons=(f"left to a newer run of this schedule: {newer}",))
    with alone(opened.home, opened.project.name, run_name()) as busy:
        return opened.ended("busy", reasons=(busy,)) if busy else _retrain(opened, force=force)


def _retrain(opened: OpenProject, *, force: bool) -> State[Outcome]:
    project, name, state = opened.project, opened.project.name, opened.home
    reconcile(state, name, project.registry, project.deploy)
    data = merge(project.sources, project.heads, project.split, base=opened.base, out=state.data)
    opened.check_labels(data.heads)
    champion = find_champion(state, name)
    standing = look_back(opened, data, champion)
    if not force and (ending := ending_without_work(opened, standing)):
        return opened.ended(**ending)
    if not force and (before := taken_up(opened, standing, champion)):
        return _conclude(opened, before, champion)
    inputs = {INPUTS_EVIDENCE: standing.inputs.digest}
    run = prepare_run(
        name, data, project.backbone, project.train, config=opened.config, home=state, more=inputs
    )
    chances = weigh_chances(data, run, project.gates, champion=champion)
    quality = validate_data(
        data, run, project.data_rules, chances=chances, champion=champion, base=opened.base
    )
    if quality.verdict.outcome == "fail":
        return opened.ended(
            "data_rejected", reasons=quality.verdict.reasons, remarks=quality.warnings, pages=quality.pages
        )
    judged = make_candidate(opened, run, quality, standing, champion=champion, dataset=data.path, fresh=force)
    return _conclude(opened, judged, champion)


def _conclude(opened: OpenProject, judged: JudgedCandidate, champion: ChampionRef | None) -> State[Outcome]:
    """Register a candidate, ship it if it passed, and show it."""
    project, name, state = opened.project, opened.project.name, opened.home
    run, verdict, measured = judged.run, judged.verdict, judged.measured
    settings = Settings(registry=project.registry, deploy=project.deploy)
    candidate = candidate_of(
        run,
        judged.bundles["shared"],
        verdict,
        dataset=judged.dataset,
        measured=measured,
        gates=project.gates,
    )
    registered = register(state, name, project.registry, candidate, before=judged.record.version)
    record = note_version(opened, judged, registered)
    deployed = ship(state, name, settings, registered, candidate)

    release = release_of(registered, deployed, champion)
    pages, rows = write_report(
        run, judged.bundles, measured, verdict, release, quality_pages=judged.pages, suspects=judged.suspects
    )
    note_pages(opened, record, pages)
    log_pages(state, name, project.registry, registered, pages)
    publish_artifacts(name, verdict, rows, pages)
    remarks = (*judged.remarks, *verdict.remarks)
    return opened.ended(**ending_of(verdict, release), rows=rows, pages=pages, remarks=remarks)
