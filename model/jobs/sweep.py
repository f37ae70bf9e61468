"""Train the shared model at one point of a grid of loss weights, and read its validation metrics.

A point is kept by everything that it depends on, so a sweep that was stopped goes on where it was. Does not
know the other points.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..cache import Cache, CacheEntry
from ..code import training_code
from ..digest import digest
from ..events import OnEvent, ignore_event
from ..files import read_json, write_json
from ..references import Run, SweepPoint
from ..spec import FitJob, HeadSpec, TrainSpec
from .fit import fit_job
from .progress import Progress


def point_entry(heads: Mapping[str, HeadSpec], run: Run) -> CacheEntry:
    """Where the point with these heads' weights is kept."""
    made_of = (dict(heads), dict(run.head_fingerprints), run.backbone, run.encoder_sha256, _recipe(run))
    return Cache(run.cache).entry("sweep", digest("sweep", *made_of, training_code()))


def _recipe(run: Run) -> TrainSpec:
    return replace(run.train, distillation=0.0)


def fit_point(
    number: int,
    shares: Mapping[str, float],
    run: Run,
    progress: Progress,
    on_event: OnEvent = ignore_event,
) -> SweepPoint:
    """The shared model with the heads' weights in these shares of the configured weights' sum.

    Without teachers: the trade-off of the labels alone is what is drawn. The weights are not kept.

    Args:
        on_event: told of what happens in the training.
    """
    total = sum(head.weight for head in run.heads.values())
    weights = {name: shares[name] * total for name in run.heads}
    heads: dict[str, HeadSpec] = {n: replace(h, weight=weights[n]) for n, h in run.heads.items()}
    recipe, entry = _recipe(run), point_entry(heads, run)
    with entry.making(resume=True) as folder:
        if folder is not None:
            out = folder / "fitted"
            job = FitJob(
                heads=heads,
                backbone=run.backbone,
                train=recipe,
                rows=str(run.rows),
                out=str(out),
                encoder_sha256=run.encoder_sha256,
            )
            fit_job(job, run.logs / f"sweep-{number}.log", progress, on_event)
            facts: dict[str, Any] = read_json(out / "fit.json")
            metrics = {name: facts["validation"][name][head.primary_metric] for name, head in heads.items()}
            write_json(folder / "point.json", {"metrics": metrics, "seconds": facts["seconds"]})
            shutil.rmtree(out)
        else:
            progress.outcome = "cached"
    kept = read_json(entry.folder / "point.json")
    return SweepPoint(weights=weights, shares=dict(shares), metrics=kept["metrics"], seconds=kept["seconds"])
