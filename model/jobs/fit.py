"""Fit one model in a process of its own and follow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..files import write_json
from ..references import Run
from ..spec import FitJob
from .process import run_model
from .progress import Progress


def fit_job(job: FitJob, log: Path, progress: Progress) -> None:
    """Run one training to its end.

    Raises:
        model.jobs.process.ModelProcessError: it ended badly.
    """
    out = Path(job.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    file = out.parent / "job.json"
    write_json(file, asdict(job))

    def follow(event: Mapping[str, Any]) -> None:
        if event["event"] == "step":
            rate = event.get("rows_per_s") or 0
            progress.to(event["step"], event["steps"], f"loss {event['loss']:.3f}  {rate:.0f} rows/s")

    done = run_model(["fit", str(file)], log=log, on_event=follow)
    progress.outcome = f"{done['rows_per_s']:.0f} rows/s, best epoch {done['best_epoch']}"


def fit_shared(run: Run, teachers: Mapping[str, str], progress: Progress) -> Path:
    """The one encoder with all heads, trained on all rows: its fitted folder.

    Args:
        teachers: head → `.npy` file of logits that the head also learns from.
    """
    fitted = run.folder / "shared" / "fitted"
    job = FitJob(
        heads=dict(run.heads),
        backbone=run.backbone,
        train=run.train,
        rows=str(run.rows),
        out=str(fitted),
        teachers=dict(teachers),
        encoder_sha256=run.encoder_sha256,
    )
    fit_job(job, run.logs / "fit-shared.log", progress)
    return fitted
