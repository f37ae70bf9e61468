"""Try a grid of loss weights and draw the trade-off between the heads. Order only; nothing is deployed."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State

from expectations.stats.pareto import loss_shares
from flows.config.messages import ConfigError
from flows.outcome import Outcome
from flows.parts.end import run_failed
from flows.parts.graph import asking, step
from flows.parts.in_mlflow import in_mlflow
from flows.parts.look_at_data import look_at_data
from flows.project import OpenProject, open_project
from flows.shown.names import named_run
from release.registry.sweep import Sweep
from release.registry.tracking.flow_run import Tracked, note_tracked
from tasks.data.merge import merge
from tasks.data.prepare_run import prepare_run
from tasks.judge.find_champion import find_champion
from tasks.release.log_sweep import log_sweep
from tasks.report.write_sweep_page import write_sweep_page
from tasks.train.fit_sweep_point import fit_sweep_point

POINTS = 5
"""Values of π for each head: 0.1, 0.3, 0.5, 0.7 and 0.9."""


@flow(name="sweep", flow_run_name=named_run, on_failure=[run_failed], on_crashed=[run_failed])
def sweep(
    config: Path, home: Path | None = None, backbone: str | None = None, points: int = POINTS
) -> State[Outcome]:
    """Train the shared model of `config` at each point of a grid of loss weights; ends `Swept` or `Rejected`.

    Args:
        points: values of π; with two heads as many trainings, with H heads H times as many and one.

    Raises:
        flows.config.messages.ConfigError: the configuration cannot be used, or has a single head.
        sources.errors.DataError: a source is not what the configuration says.
    """
    opened = open_project(config, home, backbone)
    if len(opened.project.heads) < 2:
        raise ConfigError(config, ["heads: seen one, a sweep of loss weights needs two or more"])
    return in_mlflow(opened, "sweep", lambda tracked: _swept(opened, tracked, points))


def _swept(opened: OpenProject, tracked: Tracked | None, points: int) -> State[Outcome]:
    project, state, config = opened.project, opened.home, opened.config
    data = step(merge)(project.sources, project.heads, project.split, base=opened.base, out=state.data)
    run = asking(prepare_run, [data])(
        project.name, data, project.backbone, project.train, config=config, home=state
    )
    note_tracked(tracked, run.folder)
    champion = step(find_champion)(state, project.name)
    quality, _ = look_at_data(opened, data, run, champion)
    if quality.verdict.outcome == "fail":
        return opened.ended(
            "data_rejected", reasons=quality.verdict.reasons, remarks=quality.warnings, pages=quality.pages
        )
    grid = loss_shares(list(run.heads), points)
    found = [
        step(fit_sweep_point, [quality])(number, shares, run) for number, shares in enumerate(grid, start=1)
    ]
    metrics = {name: head.primary_metric for name, head in run.heads.items()}
    drawn = step(write_sweep_page, found)(project.name, found, metrics, out=run.reports / "sweep.html")
    chosen, page = drawn
    swept = Sweep(points=found, chosen=chosen, page=page, fingerprint=data.fingerprint)
    parent = asking(log_sweep, [drawn])(
        state, project.name, project.registry, swept, config=config, tracked=tracked
    )
    best = found[chosen]
    return opened.ended(
        "swept",
        reasons=tuple(
            f"heads.{name}.weight: {best.weights[name]:.3g} gives {metric} {best.metrics[name]:.3f}"
            for name, metric in metrics.items()
        ),
        remarks=quality.warnings,
        pages={"Trade-off": str(page), "MLflow run": parent},
    )
