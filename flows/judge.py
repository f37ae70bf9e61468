"""Time and judge a registered version again, without training: of a candidate that a busy machine held back.

Order only. It is judged by the gates that it was registered with, against the champion of now; a pass is
promoted and deployed as in `flows.retrain`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from flows.config.load import gate_rules
from flows.ending import noted
from flows.notify.ending import told_ending
from flows.outcome import Outcome
from flows.parts.candidate import note_pages, rejudged
from flows.parts.conclude import (
    being_watched,
    ending_of,
    release_of,
    ship,
    watched_through,
)
from flows.parts.end import run_failed, run_lost
from flows.parts.graph import asking, part, step
from flows.parts.late_watch import late_ending
from flows.parts.measure import answer, measure
from flows.prefect_runs import close_flow_runs
from flows.project import open_home
from flows.shown.ended import published
from flows.shown.names import named_run
from release.home import Home
from release.registry.candidate import candidate_of
from release.saved_settings import load_settings
from report.release.became import Release
from tasks.data.find_changes import find_changes
from tasks.judge.decide import decide
from tasks.judge.find_candidate import find_candidate
from tasks.judge.find_champion import find_champion
from tasks.judge.keep_judged import keep_judged
from tasks.release.log_pages import log_pages
from tasks.release.reconcile import reconcile
from tasks.release.record_verdict import record_verdict
from tasks.report.write_report import write_report


@flow(name="judge", flow_run_name=named_run, on_failure=[run_failed], on_crashed=[run_failed])
def judge(name: str, version: int, home: Path | None = None) -> State[Outcome]:
    """Judge `version` of project `name` again; ends as a retraining does that has a candidate: `Deployed`,
    `Rejected`, `Held`, `Undone`, `Unconfirmed`, `RolledBack`, or failed with the reason.

    Raises:
        flows.state_folder.NoHome: no state folder knows the project.
        release.moves.judge_again.NotJudgedAgain: it passed, or is older than one that was promoted.
        release.kept_evidence.EvidenceGone: its models or rows are not there any more.
        release.registry.judgement.NotJudged: the record of its verdict can't be believed.
    """
    began_s, state = time.monotonic(), open_home(home, name)
    settings = load_settings(state, name)
    registry, how = settings.registry, settings.deploy
    close_flow_runs(run_lost)
    step(reconcile)(state, name, registry, how)
    if late := late_ending(state, name):
        return _ended(state, Outcome(name=name, seconds=time.monotonic() - began_s, **late))
    found = asking(find_candidate)(state, name, registry, version)
    champion, bundles = step(find_champion)(state, name), found.bundles
    gone = () if champion is None else sorted(set(champion.bundle.heads) - set(found.run.heads))
    run, kept, rules = found.run, found.kept, gate_rules(found.gates, gone)
    if champion is not None:
        bundles["champion"] = champion.bundle

    step(find_changes, [found, champion])(kept.dataset, run, champion=champion)
    measured = part(
        "measure", lambda: measure(run, bundles, rules, how, answer(run, bundles, rules)), [found]
    )
    verdict = step(decide, [measured])(run.heads, measured, rules, champion=champion, dataset=kept.dataset)
    candidate = candidate_of(run, bundles, verdict, dataset=kept.dataset, measured=measured, gates=rules)
    asking(record_verdict, [verdict])(state, name, registry, found.registered, candidate)
    record = rejudged(state, registry, found, champion=champion, measured=measured, verdict=verdict)
    if record is not None:
        step(keep_judged, [verdict])(state, name, registry, record)
    deployed = ship(state, name, settings, found.registered, candidate)

    def shown(release: Release) -> tuple[dict[str, str], list[dict[str, str]]]:
        written = step(write_report, [verdict, deployed])(
            run, bundles, measured, verdict, release, quality_pages=kept.pages
        )
        if record is not None:
            note_pages(state, registry, record, written[0])
        step(log_pages, [written])(state, name, registry, found.registered, run.reports)
        return written

    begun = being_watched(state, name, settings, deployed)
    release = release_of(found.registered, deployed, champion, begun)
    written = shown(release)
    if (watched := watched_through(state, name, begun)) is not begun:
        release = release_of(found.registered, deployed, champion, watched)
        written = shown(release)
    pages, rows = written
    ending = ending_of(name, verdict, release)
    seconds = time.monotonic() - began_s
    outcome = Outcome(
        name=name, seconds=seconds, rows=tuple(rows), pages=pages, remarks=verdict.remarks, **ending
    )
    return _ended(state, outcome, [written])


def _ended(home: Home, outcome: Outcome, after: Sequence[object] = ()) -> State[Outcome]:
    published(outcome, after)
    told_ending(home, outcome)
    return noted(home, outcome)
