"""Train the shared model at one point of a grid of loss weights, and read its validation metrics.

A point is kept by everything that it depends on, so a sweep that was stopped goes on where it was. Does not
know the other points.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.stats.pareto import share_grid
from report.progress import Step
from tasks.data.prepare_run import Run

from ..code import code_digest
from ..digest import digest
from ..files import write_json
from ..spec import BackboneSpec, FitJob, HeadSpec, TrainSpec
from .fit import fit_job


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One choice of loss weights and what it gave."""

    weights: Mapping[str, float]
    """Head → factor of its loss."""
    shares: Mapping[str, float]
    """The same as shares of their sum: π and 1 − π where there are two."""
    metrics: Mapping[str, float]
    """Head → its primary metric on validation rows."""
    seconds: float
    """Time in training steps; of the original training where the point was known."""


def loss_shares(heads: Sequence[str], points: int) -> list[dict[str, float]]:
    """The grid: head → its share of the sum of losses, one a point (see `expectations.stats.pareto`)."""
    return [dict(zip(heads, row, strict=True)) for row in share_grid(len(heads), points).tolist()]


@task(name="sweep-point", cache_policy=NO_CACHE, task_run_name="sweep-point-{number}")
def fit_point(
    number: int,
    shares: Mapping[str, float],
    run: Run,
    *,
    backbone: BackboneSpec,
    train: TrainSpec,
) -> SweepPoint:
    """The shared model with the heads' weights in these shares of the configured weights' sum.

    Without teachers: the trade-off of the labels alone is what is drawn. The weights are not kept.
    """
    total = sum(head.weight for head in run.heads.values())
    weights = {name: shares[name] * total for name in run.heads}
    heads: dict[str, HeadSpec] = {n: replace(h, weight=weights[n]) for n, h in run.heads.items()}
    recipe = replace(train, distillation=0.0)
    key = digest(
        "sweep", heads, dict(run.head_fingerprints), backbone, run.encoder_sha256, recipe, code_digest()
    )
    folder = run.cache / "sweep" / key
    result = folder / "point.json"
    if result.is_file():
        with Step(f"point {number}") as step:
            step.outcome = "cached"
    else:
        out = folder / "fitted"
        job = FitJob(heads=heads, backbone=backbone, train=recipe, rows=str(run.rows), out=str(out))
        fit_job(job, title=f"point {number}", log=run.logs / f"sweep-{number}.log")
        facts: dict[str, Any] = json.loads((out / "fit.json").read_text())
        metrics = {name: facts["validation"][name][head.primary_metric] for name, head in heads.items()}
        write_json(result, {"metrics": metrics, "seconds": facts["seconds"]})
        shutil.rmtree(out)
    known = json.loads(Path(result).read_text())
    return SweepPoint(
        weights=weights, shares=dict(shares), metrics=known["metrics"], seconds=known["seconds"]
    )
