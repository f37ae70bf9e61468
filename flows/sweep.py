"""Try a grid of loss weights and draw the trade-off between the heads. Order only; nothing is deployed."""

from __future__ import annotations

import time
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from flows.config.schema import ConfigError, load_project
from flows.ending import ending
from flows.outcome import Outcome
from flows.runs import mark_flow_run
from flows.state_folder import config_home, prepare
from model.jobs.sweep import fit_point, loss_shares
from release.champion import current_champion
from release.home import Home
from release.registry.sweep import log_sweep
from report.sweep import write_sweep_page
from tasks.data.merge import merge
from tasks.data.prepare_run import prepare_run
from tasks.data.validate_data import validate_data

POINTS = 5
"""Values of π for each head: 0.1, 0.3, 0.5, 0.7 and 0.9."""


@flow(name="sweep")
def sweep(config: Path, home: Path | None = None, backbone: str | None = None, points: int = POINTS) -> State:
    """Train the shared model of `config` at each point of a grid of loss weights; ends `Swept` or `Rejected`.

    Args:
        points: values of π; with two heads as many trainings, with H heads H times as many and one.

    Raises:
        flows.config.schema.ConfigError: the configuration cannot be used, or has a single head.
        sources.errors.DataError: a source is not what the configuration says.
    """
    started_s = time.monotonic()
    folder = config_home(config, home)
    prepare(folder, on_console=False)
    mark_flow_run()
    project, state = load_project(config, backbone=backbone), Home(folder)
    if len(project.heads) < 2:
        raise ConfigError(config, ["heads: seen one, a sweep of loss weights needs two or more"])
    data = merge(project.sources, project.heads, project.split, base=config.resolve().parent, out=state.data)
    run = prepare_run(project.name, data, project.backbone, project.train, config=config, home=state)
    quality = validate_data(data, run, project.data_rules, champion=current_champion(state, project.name))
    if quality.verdict.outcome == "fail":
        return ending(
            Outcome(
                stage="data_rejected",
                name=project.name,
                reasons=quality.verdict.reasons,
                pages=quality.pages,
                seconds=time.monotonic() - started_s,
            )
        )
    found = [
        fit_point(
            number + 1,
            shares,
            run,
            backbone=project.backbone,
            train=project.train,
        )
        for number, shares in enumerate(loss_shares(list(run.heads), points))
    ]
    metrics = {name: head.primary_metric for name, head in run.heads.items()}
    chosen, page = write_sweep_page(project.name, found, metrics, out=run.reports / "sweep.html")
    parent = log_sweep(
        state, project.name, project.registry, found, chosen, page, fingerprint=data.fingerprint
    )
    best = found[chosen]
    return ending(
        Outcome(
            stage="swept",
            name=project.name,
            reasons=tuple(
                f"heads.{name}.weight: {best.weights[name]:.3g} gives {metric} {best.metrics[name]:.3f}"
                for name, metric in metrics.items()
            ),
            pages={"Trade-off": str(page), "MLflow run": parent},
            seconds=time.monotonic() - started_s,
        )
    )
