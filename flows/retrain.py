"""The whole way: merge, validate, fit, package, measure, decide, register, deploy, report.

Order only: each line is a task. A gate that does not pass is a value that ends the flow in the state
`Rejected`; exceptions are for what is broken.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.baselines import fit_heads
from flows.config.schema import Project, load_project
from flows.ending import ending
from flows.label_check import search_labels
from flows.outcome import Outcome, Stage
from flows.runs import mark_flow_run
from flows.state_folder import config_home, prepare
from flows.teachers import teachers
from model.jobs.fit import fit_shared, package_baseline
from model.jobs.measure import score, time_bundles
from model.references import BundleRef, Measured
from release.champion import current_champion
from release.home import Home
from release.moves.promote import promote
from release.moves.reconcile import reconcile
from release.registry.evidence import approve, gather_configuration, gather_evidence
from release.registry.register import log_pages, register
from release.targets.deploy import deploy, refuse_impossible
from report.release.gather import write_report
from serving.process.http_timing import time_http
from tasks.data.merge import merge
from tasks.data.prepare_run import Run, prepare_run
from tasks.data.validate_data import validate_data
from tasks.judge.decide import decide
from tasks.report.publish_artifacts import publish_artifacts


@flow(name="retrain")
def retrain(config: Path, home: Path | None = None, backbone: str | None = None) -> State:
    """Retrain the project of `config`; ends `Deployed`, `Rejected`, or failed with the reason.

    Raises:
        flows.config.schema.ConfigError: the configuration cannot be used.
        sources.errors.DataError: a source is not what the configuration says.
    """
    started_s = time.monotonic()
    folder = config_home(config, home)
    prepare(folder, on_console=False)
    project, state = load_project(config, backbone=backbone), Home(folder)

    def ended(stage: Stage, **known: Any) -> State:
        seconds = time.monotonic() - started_s
        return ending(Outcome(stage=stage, name=project.name, seconds=seconds, **known))

    mark_flow_run()
    refuse_impossible(state, project.name, project.deploy)
    reconcile(state, project.name, project.registry, project.deploy)
    data = merge(project.sources, project.heads, project.split, base=config.resolve().parent, out=state.data)
    champion = current_champion(state, project.name)
    run = prepare_run(project.name, data, project.backbone, project.train, config=config, home=state)
    quality = validate_data(data, run, project.data_rules, champion=champion, base=config.resolve().parent)
    if quality.verdict.outcome == "fail":
        return ended("data_rejected", reasons=quality.verdict.reasons, pages=quality.pages)

    baselines = fit_heads(project, run)
    suspects = search_labels(project, data.path, run, baselines)
    shared = fit_shared(
        run.heads,
        name=project.name,
        backbone=project.backbone,
        train=project.train,
        rows=run.rows,
        out=run.folder / "shared",
        teachers=teachers(project, run, baselines),
        logs=run.logs,
        provenance=run.provenance,
        profile=run.profile,
        package=project.package,
    )
    bundles = {"shared": shared}
    for head, baseline in baselines.items():
        bundles[f"baseline:{head}"] = package_baseline(
            head,
            baseline,
            precision=shared.precision,
            rows=run.rows,
            logs=run.logs,
            provenance=run.provenance,
        )
    if champion is not None:
        bundles["champion"] = champion.bundle
    measured = _measure(project, run, bundles)
    verdict = decide(run.heads, measured, project.gates, champion=champion, dataset=data.path)
    evidence = gather_evidence(measured, run, project.gates)
    configuration = gather_configuration(project.name, run, project.gates)
    registered = register(
        state,
        project.name,
        project.registry,
        run,
        shared,
        verdict,
        dataset=data.path,
        evidence=evidence,
        configuration=configuration,
    )
    deployed = None
    if verdict.outcome == "pass":
        approved = approve(registered, verdict)
        promote(
            state,
            project.name,
            project.registry,
            approved,
            bundle=Path(shared.path),
            evidence=evidence,
            configuration=configuration,
        )
        deployed = deploy(state, project.name, project.registry, project.deploy, registered.version)

    pages, rows = write_report(
        run,
        quality,
        bundles,
        measured,
        verdict,
        registered,
        deployed,
        champion=champion,
        suspects=suspects,
    )
    log_pages(state, project.name, project.registry, registered, pages)
    publish_artifacts(project.name, verdict, rows, pages)
    known = {"rows": rows, "registered": registered.facts, "pages": pages}
    if deployed is None:
        return ended("model_rejected", reasons=verdict.reasons, **known)
    if not deployed.deployed:
        return ended("deployment_undone", reasons=(deployed.reason,), **known)
    return ended("deployed", deployed={"version": deployed.serving, "url": deployed.url}, **known)


def _measure(project: Project, run: Run, bundles: Mapping[str, BundleRef]) -> Measured:
    """Scores of every bundle, then the latency of all of them and of the shared one through HTTP, one after
    another on a quiet machine."""
    gates, threads, out = project.gates, project.gates.latency_threads, run.folder / "evidence"
    scores = {
        label: score(label, bundle, rows=run.rows, out=out, cache=run.cache, threads=threads, logs=run.logs)
        for label, bundle in bundles.items()
    }
    timing = time_bundles(
        bundles,
        rows=run.rows,
        out=out,
        requests=gates.latency_requests,
        threads=threads,
        seed=gates.seed,
        logs=run.logs,
    )
    http = time_http(
        project.name,
        bundles["shared"],
        deploy=project.deploy,
        rows=run.rows,
        out=out,
        requests=gates.http_requests,
        rate_per_s=gates.http_rate_per_s,
        threads=threads,
        seed=gates.seed,
        logs=run.logs,
    )
    return Measured(scores=scores, timing=timing, http=http)
