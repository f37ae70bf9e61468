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
from flows.parts.candidate import (
    JudgedCandidate,
    judge_candidate,
    make_candidate,
    note_pages,
    note_version,
    taken_up,
)
from flows.parts.conclude import being_watched, ending_of, release_of, ship, watched_through
from flows.parts.consent import consent_wanted, needs_remarks
from flows.parts.graph import asking, renewed, step
from flows.parts.look_at_data import look_at_data
from flows.parts.time_plan import planned_seconds
from flows.project import OpenProject
from model.jobs.process import preloaded_for
from model.references import Run
from release.champion import ChampionRef
from release.registry.candidate import INPUTS_EVIDENCE, candidate_of
from release.registry.tracking.flow_run import Tracked, note_tracked
from release.runs.standing import Standing
from release.saved_settings import Settings
from report.release.became import Release
from report.time_left import whole_run
from sources.dataset import DatasetRef
from tasks.data.prepare_run import prepare_run
from tasks.judge.check_contract import check_contract
from tasks.release.log_pages import log_pages
from tasks.release.register import register
from tasks.report.write_report import write_report


def make_and_ship(
    opened: OpenProject,
    data: DatasetRef,
    standing: Standing,
    *,
    champion: ChampionRef | None,
    fresh: bool,
    tracked: Tracked | None = None,
) -> State[Outcome]:
    """The way from the dataset to the end of the flow.

    Args:
        standing: of the run's inputs.
        fresh: train the shared model even where it is kept.
        tracked: the flow's run in MLflow, if there is one.
    """
    project, state = opened.project, opened.home
    prepared = asking(prepare_run, [data, standing])(
        project.name, data, project.backbone, project.train, config=opened.config, home=state
    )
    known = {**prepared.provenance, INPUTS_EVIDENCE: standing.inputs.digest}
    run = renewed(replace(prepared, provenance=known), prepared)
    note_tracked(tracked, run.folder)
    with whole_run(planned_seconds(project, run, champion)):
        judged = _judged(opened, data, run, standing, champion=champion, fresh=fresh)
    if not isinstance(judged, JudgedCandidate):
        return judged
    return _conclude(opened, judged, champion, standing, tracked)


def _judged(
    opened: OpenProject,
    data: DatasetRef,
    run: Run,
    standing: Standing,
    *,
    champion: ChampionRef | None,
    fresh: bool,
) -> JudgedCandidate | State[Outcome]:
    """A candidate with its verdict, or the end of a flow that has to train nothing."""
    project = opened.project
    with preloaded_for(run):  # it loads while the data are judged, and is gone before anything is timed
        quality, changed = look_at_data(opened, data, run, champion)
        renamed = () if changed is None else changed.renamed
        contract = step(check_contract, [data, champion, changed])(
            data.heads, project.gates, champion=champion, renamed=renamed
        )
        quality = renewed(replace(quality, warnings=(*quality.warnings, *unused_remarks(contract))), quality)
        if quality.verdict.outcome == "fail":
            remarks = (*quality.warnings, *needs_remarks(contract, champion))
            return opened.ended(
                "data_rejected", reasons=quality.verdict.reasons, remarks=remarks, pages=quality.pages
            )
        if contract.missing:
            wanted = consent_wanted(contract, champion, project)
            return opened.ended("needs_consent", **wanted, remarks=quality.warnings, pages=quality.pages)
        made = make_candidate(opened, run, champion=champion, dataset=data.path, fresh=fresh, after=[quality])
    return judge_candidate(opened, run, quality, standing, made, champion=champion, dataset=data.path)


def ship_unfinished(
    opened: OpenProject, standing: Standing, champion: ChampionRef | None, tracked: Tracked | None = None
) -> State[Outcome] | None:
    """The end of a flow that takes up a candidate which an earlier run judged, and no more; None where there
    is none."""
    judged = taken_up(opened, standing, champion)
    return None if judged is None else _conclude(opened, judged, champion, standing, tracked)


def _conclude(
    opened: OpenProject,
    judged: JudgedCandidate,
    champion: ChampionRef | None,
    standing: Standing,
    tracked: Tracked | None,
) -> State[Outcome]:
    """Register a candidate, ship it if it passed, and show it."""
    project, name, state = opened.project, opened.project.name, opened.home
    run, verdict, measured = judged.run, judged.verdict, judged.measured
    settings = Settings(registry=project.registry, deploy=project.deploy)
    candidate = candidate_of(
        run,
        judged.bundles,
        verdict,
        dataset=judged.dataset,
        measured=measured,
        gates=project.gates,
    )
    before = judged.record.version
    registered = step(register, [verdict])(
        state, name, project.registry, candidate, before=before, tracked=tracked
    )
    record = note_version(opened, judged, registered)
    deployed = ship(state, name, settings, registered, candidate)

    def shown(release: Release) -> tuple[dict[str, str], list[dict[str, str]]]:
        written = step(write_report, [registered, deployed])(
            run,
            judged.bundles,
            measured,
            verdict,
            release,
            quality_pages=judged.pages,
            suspects=judged.suspects,
        )
        note_pages(state, project.registry, record, written[0])
        step(log_pages, [written])(state, name, project.registry, registered, run.reports)
        return written

    begun = being_watched(state, name, settings, deployed)
    release = replace(release_of(registered, deployed, champion, begun), besides=standing.besides)
    pages, rows = shown(release)
    if (watched := watched_through(state, name, begun)) is not begun:
        release = replace(release_of(registered, deployed, champion, watched), besides=standing.besides)
        pages, rows = shown(release)
    remarks = (*judged.remarks, *verdict.remarks)
    return opened.ended(**ending_of(name, verdict, release), rows=rows, pages=pages, remarks=remarks)
