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
from prefect.states import Completed, Failed

from flows.config import Project, load_project
from flows.outcome import Outcome, Stage
from flows.place import config_home, prepare
from tasks.artifacts import publish_artifacts
from tasks.champion import current_champion
from tasks.decide import decide
from tasks.deploy import deploy
from tasks.fit import baseline_key, fit_baseline, fit_shared, teach
from tasks.home import Home
from tasks.measure import score, time_bundles
from tasks.merge import merge
from tasks.prepare import Run, prepare_run
from tasks.promote import promote
from tasks.reconcile import reconcile
from tasks.references import BundleRef, Measured
from tasks.register import register
from tasks.report import report
from tasks.validate import validate_data


@flow(name="retrain")
def retrain(config: Path, home: Path | None = None, backbone: str | None = None) -> State:
    """Retrain the project of `config`; ends `Deployed`, `Rejected`, or failed with the reason.

    Raises:
        flows.config.ConfigError: the configuration cannot be used.
        sources.errors.DataError: a source is not what the configuration says.
    """
    started_s = time.monotonic()
    folder = config_home(config, home)
    prepare(folder, on_console=False)
    project, state = load_project(config, backbone=backbone), Home(folder)

    def ended(stage: Stage, **known: Any) -> State:
        outcome = Outcome(stage=stage, name=project.name, seconds=time.monotonic() - started_s, **known)
        return outcome_state(outcome)

    reconcile(state, project.name, project.registry)
    data = merge(project.sources, project.heads, project.split, base=config.resolve().parent, out=state.data)
    champion = current_champion(state, project.name)
    run = prepare_run(project.name, data, project.backbone, project.train, config=config, home=state)
    quality = validate_data(data, run, project.expectations, champion=champion)
    if quality.verdict.outcome == "fail":
        return ended("data_rejected", reasons=quality.verdict.reasons, pages=quality.pages)

    baselines = _fit_baselines(project, run)
    teachers = _teachers(project, run, baselines)
    shared = fit_shared(
        run.heads,
        name=project.name,
        backbone=project.backbone,
        train=project.train,
        rows=run.rows,
        out=run.folder / "shared",
        teachers=teachers,
        logs=run.logs,
        provenance=run.provenance,
        profile=run.profile,
    )

    bundles = {"shared": shared, **{f"baseline:{head}": bundle for head, bundle in baselines.items()}}
    if champion is not None:
        bundles["champion"] = champion.bundle
    measured = _measure(project, run, bundles)
    verdict = decide(run.heads, measured, project.gates, champion=champion)
    registered = register(state, project.name, project.registry, run, shared, measured, verdict)
    if verdict.outcome != "pass":
        pages = report(run, quality, bundles, measured, verdict, registered=registered, deployed=None)
        publish_artifacts(project.name, verdict, pages)
        return ended(
            "model_rejected",
            reasons=verdict.reasons,
            rows=verdict_rows(verdict),
            registered=registered.facts,
            pages=pages,
        )
