"""What a run does that has something to do: judge the data, make a candidate, register, ship and show it.

Order only: each line is a task. A gate that does not pass is a value that ends the flow in the state
`Rejected`, and what clients would lose without consent ends it in `NeedsConsent`; exceptions are for what is
broken.
"""

from __future__ import annotations

from dataclasses import replace

from prefect.client.schemas.objects import State

from expectations.contract.findings import unused_remarks
from flows.outcome import Outcome
from flows.parts.candidate import JudgedCandidate, make_candidate, note_pages, note_version, taken_up
from flows.parts.conclude import being_watched, ending_of, release_of, ship, watched_through
from flows.parts.consent import consent_wanted, needs_remarks
from flows.parts.look_at_data import look_at_data
from flows.project import OpenProject
from release.champion import ChampionRef
from release.registry.candidate import INPUTS_EVIDENCE, candidate_of
from release.runs.standing import Standing
from release.saved_settings import Settings
from report.release.gather import Release
from sources.dataset import DatasetRef
from tasks.data.prepare_run import prepare_run
from tasks.judge.check_contract import check_contract
from tasks.release.log_pages import log_pages
from tasks.release.register import register
from tasks.report.publish_artifacts import publish_artifacts
from tasks.report.write_report import write_report


def make_and_ship(
    opened: OpenProject, data: DatasetRef, standing: Standing, *, champion: ChampionRef | None, fresh: bool
) -> State[Outcome]:
    """The way from the dataset to the end of the flow.

    Args:
        standing: of the run's inputs.
        fresh: train the shared model even where it is kept.
    """
    project, state = opened.project, opened.home
    run = prepare_run(project.name, data, project.backbone, project.train, config=opened.config, home=state)
    run = replace(run, provenance={**run.provenance, INPUTS_EVIDENCE: standing.inputs.digest})
    quality, changed = look_at_data(opened, data, run, champion)
    renamed = () if changed is None else changed.renamed
    contract = check_contract(data.heads, project.gates, champion=champion, renamed=renamed)
    quality = replace(quality, warnings=(*quality.warnings, *unused_remarks(contract)))
    if quality.verdict.outcome == "fail":
        remarks = (*quality.warnings, *needs_remarks(contract, champion))
        return opened.ended(
            "data_rejected", reasons=quality.verdict.reasons, remarks=remarks, pages=quality.pages
        )
    if contract.missing:
        wanted = consent_wanted(contract, champion, project)
        return opened.ended("needs_consent", **wanted, remarks=quality.warnings, pages=quality.pages)
    judged = make_candidate(opened, run, quality, standing, champion=champion, dataset=data.path, fresh=fresh)
    return _conclude(opened, judged, champion, standing)


def ship_unfinished(
    opened: OpenProject, standing: Standing, champion: ChampionRef | None
) -> State[Outcome] | None:
    """The end of a flow that takes up a candidate which an earlier run judged, and no more; None where there
    is none."""
    judged = taken_up(opened, standing, champion)
    return None if judged is None else _conclude(opened, judged, champion, standing)


def _conclude(
    opened: OpenProject, judged: JudgedCandidate, champion: ChampionRef | None, standing: Standing
) -> State[Outcome]:
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

    def shown(release: Release) -> tuple[dict[str, str], list[dict[str, str]]]:
        pages, rows = write_report(
            run,
            judged.bundles,
            measured,
            verdict,
            release,
            quality_pages=judged.pages,
            suspects=judged.suspects,
        )
        note_pages(state, project.registry, record, pages)
        log_pages(state, name, project.registry, registered, pages)
        return pages, rows

    begun = being_watched(state, name, settings, deployed)
    release = replace(release_of(registered, deployed, champion, begun), besides=standing.besides)
    pages, rows = shown(release)
    if (watched := watched_through(state, name, begun)) is not begun:
        release = replace(release_of(registered, deployed, champion, watched), besides=standing.besides)
        pages, rows = shown(release)
    publish_artifacts(name, verdict, rows, pages)
    remarks = (*judged.remarks, *verdict.remarks)
    return opened.ended(**ending_of(name, verdict, release), rows=rows, pages=pages, remarks=remarks)
