"""Time and judge a registered version again, without training: of a candidate that a busy machine held back.

Order only. It is judged by the gates that it was registered with, against the champion of now; a pass is
promoted and deployed as in `flows.retrain`.
"""

from __future__ import annotations

import time
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from flows.config.load import gate_rules
from flows.ending import noted
from flows.notify.ending import told_ending
from flows.outcome import Outcome
from flows.parts.candidate import note_pages, rejudged
from flows.parts.conclude import ending_of, release_of, ship
from flows.parts.end import run_failed, run_lost
from flows.parts.ended import published
from flows.parts.graph import asking, part, step
from flows.parts.measure import measure
from flows.parts.names import named_run
from flows.prefect_runs import close_flow_runs
from flows.project import open_home
from release.registry.candidate import candidate_of
from release.saved_settings import load_settings
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
    """Judge `version` of project `name` again; ends `Deployed`, `Rejected`, or failed with the reason.

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
    asking(reconcile)(state, name, registry, how)
    found = asking(find_candidate)(state, name, registry, version)
    champion, bundles = step(find_champion)(state, name), found.bundles
    gone = () if champion is None else sorted(set(champion.bundle.heads) - set(found.run.heads))
    run, kept, rules = found.run, found.kept, gate_rules(found.gates, gone)
    if champion is not None:
        bundles["champion"] = champion.bundle

    step(find_changes, [found, champion])(kept.dataset, run, champion=champion)
    measured = part("measure", lambda: measure(run, bundles, rules, how), [found])
    verdict = step(decide, [measured])(run.heads, measured, rules, champion=champion, dataset=kept.dataset)
    candidate = candidate_of(run, bundles, verdict, dataset=kept.dataset, measured=measured, gates=rules)
    asking(record_verdict, [verdict])(state, name, registry, found.registered, candidate)
    record = rejudged(state, registry, found, champion=champion, measured=measured, verdict=verdict)
    if record is not None:
        step(keep_judged, [verdict])(state, name, registry, record)
    deployed = ship(state, name, settings, found.registered, candidate)

    release = release_of(found.registered, deployed, champion)
    shown = step(write_report, [verdict, deployed])(
        run, bundles, measured, verdict, release, quality_pages=kept.pages
    )
    pages, rows = shown
    if record is not None:
        note_pages(state, registry, record, pages)
    step(log_pages, [shown])(state, name, registry, found.registered, run.reports)
    ending = ending_of(name, verdict, release)
    seconds = time.monotonic() - began_s
    outcome = Outcome(
        name=name, seconds=seconds, rows=tuple(rows), pages=pages, remarks=verdict.remarks, **ending
    )
    published(outcome, [shown])
    told_ending(state, outcome)
    return noted(state, outcome)
