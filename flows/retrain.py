"""The whole way: merge, validate, fit, package, measure, decide, register, deploy, report.

Order only: each line is a task. A gate that does not pass is a value that ends the flow in the state
`Rejected`, and what clients would lose without consent ends it in `NeedsConsent`; exceptions are for what is
broken.
"""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from expectations.contract.findings import unused_remarks
from flows.baselines import fit_baselines, package_baselines
from flows.label_check import search_labels
from flows.parts.conclude import ending_of, release_of, ship
from flows.parts.consent import consent_wanted, needs_remarks
from flows.parts.end import run_failed
from flows.parts.measure import measure
from flows.prefect_runs import close_flow_runs
from flows.project import open_project
from flows.teachers import teachers
from release.registry.candidate import candidate_of
from release.saved_settings import Settings
from release.targets.deploy import refuse_impossible
from tasks.data.find_changes import find_changes
from tasks.data.merge import merge
from tasks.data.prepare_run import prepare_run
from tasks.data.validate_data import validate_data
from tasks.data.weigh_chances import weigh_chances
from tasks.judge.check_contract import check_contract
from tasks.judge.decide import decide
from tasks.judge.find_champion import find_champion
from tasks.judge.keep_evidence import keep_evidence
from tasks.release.log_pages import log_pages
from tasks.release.reconcile import reconcile
from tasks.release.register import register
from tasks.report.publish_artifacts import publish_artifacts
from tasks.report.write_report import write_report
from tasks.train.fit_shared import fit_shared


@flow(name="retrain", on_failure=[run_failed], on_crashed=[run_failed])
def retrain(config: Path, home: Path | None = None, backbone: str | None = None) -> State:
    """Retrain the project of `config`; ends `Deployed`, `Rejected`, `NeedsConsent`, or failed with why.

    Raises:
        flows.config.messages.ConfigError: the configuration cannot be used.
        sources.errors.DataError: a source is not what the configuration says.
    """
    opened = open_project(config, home, backbone)
    project, name, state = opened.project, opened.project.name, opened.home
    refuse_impossible(state, name, project.deploy)
    close_flow_runs()
    reconcile(state, name, project.registry, project.deploy)
    data = merge(project.sources, project.heads, project.split, base=opened.base, out=state.data)
    opened.check_labels(data.heads)
    champion = find_champion(state, name)
    run = prepare_run(name, data, project.backbone, project.train, config=config, home=state)
    changed = find_changes(data.path, run, champion=champion)
    chances = weigh_chances(data, run, project.gates, champion=champion)
    quality = validate_data(
        data,
        run,
        project.data_rules,
        chances=chances,
        champion=champion,
        changed=changed,
        base=opened.base,
    )
    renamed = () if changed is None else changed.renamed
    contract = check_contract(data.heads, project.gates, champion=champion, renamed=renamed)
    remarks = (*quality.warnings, *unused_remarks(contract))
    if quality.verdict.outcome == "fail":
        remarks = (*remarks, *needs_remarks(contract, champion))
        return opened.ended(
            "data_rejected", reasons=quality.verdict.reasons, remarks=remarks, pages=quality.pages
        )
    if contract.missing:
        wanted = consent_wanted(contract, champion, project)
        return opened.ended("needs_consent", **wanted, remarks=remarks, pages=quality.pages)

    seeds = fit_baselines(project, run)
    baselines = {head: fitted[0] for head, fitted in seeds.items()}
    suspects = search_labels(project, data.path, run, baselines)
    shared = fit_shared(run, teachers(project, run, baselines), project.package)
    bundles = {"shared": shared, **package_baselines(seeds, run, shared.precision)}
    if champion is not None:
        bundles["champion"] = champion.bundle

    measured = measure(run, bundles, project.gates, project.deploy)
    settings = Settings(registry=project.registry, deploy=project.deploy)
    keep_evidence(state, run, bundles, settings, dataset=data.path, pages=quality.pages)
    verdict = decide(run.heads, measured, project.gates, champion=champion, dataset=data.path)
    candidate = candidate_of(run, shared, verdict, dataset=data.path, measured=measured, gates=project.gates)
    registered = register(state, name, project.registry, candidate)
    deployed = ship(state, name, settings, registered, candidate)

    release = release_of(registered, deployed, champion)
    pages, rows = write_report(
        run, bundles, measured, verdict, release, quality_pages=quality.pages, suspects=suspects
    )
    log_pages(state, name, project.registry, registered, pages)
    publish_artifacts(name, verdict, rows, pages)
    remarks = (*remarks, *verdict.remarks)
    return opened.ended(**ending_of(verdict, release), rows=rows, pages=pages, remarks=remarks)
