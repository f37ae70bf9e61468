"""Fit one model in a process of its own and follow it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..cache import Cache, CacheEntry
from ..code import training_code
from ..digest import digest
from ..events import OnEvent, ignore_event
from ..files import file_sha256, read_json, write_json
from ..references import FittedRef, Run
from ..spec import FitJob
from .memory import lower
from .process import run_model
from .progress import Progress

EVENTS_FILE = "events.jsonl"
"""Beside a fitted folder: the progress events of its training, each with its time `at` (s since 1970)."""
COURSE = frozenset({"step", "epoch", "resumed"})
"""Kinds of events that are kept."""


def fit_job(job: FitJob, log: Path, progress: Progress, on_event: OnEvent = ignore_event) -> None:
    """Run one training to its end. Its events are kept in `EVENTS_FILE` beside the fitted folder.

    Args:
        on_event: told of each of these events, too.

    Raises:
        model.jobs.process.ModelProcessError: it ended badly.
    """
    out = Path(job.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    file = out.parent / "job.json"
    write_json(file, asdict(job))

    def follow(event: Mapping[str, Any]) -> None:
        if event["event"] in COURSE:
            kept = {"at": round(time.time(), 3), **event}
            with (out.parent / EVENTS_FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(kept) + "\n")
            on_event(kept)
        if event["event"] == "step":
            rate = event.get("rows_per_s") or 0
            progress.to(event["step"], event["steps"], f"loss {event['loss']:.3f}  {rate:.0f} rows/s")

    advice = lower(job.train)
    advice = (
        f"What is trained is kept up to the last checkpoint. {advice[0].upper()}{advice[1:]}, or free memory"
    )
    done = run_model(["fit", str(file)], log=log, on_event=follow, if_killed=advice)
    progress.outcome = f"{done['rows_per_s']:.0f} rows/s, best epoch {done['best_epoch']}"


def shared_entry(run: Run, teachers: Mapping[str, str]) -> CacheEntry:
    """Where the shared model of a run is kept, or what a process that died left of it: named by all that it
    depends on."""
    rows = (dict(run.heads), dict(run.head_fingerprints), run.texts_sha256)
    taught = {head: file_sha256(Path(file)) for head, file in teachers.items()}
    encoder = (replace(run.backbone, revision=None), run.encoder_sha256)  # the digest says which revision
    made_of = (*rows, encoder, run.train, taught, training_code())
    return Cache(run.cache).entry("shared", digest("shared", *made_of))


def fit_shared(
    run: Run,
    teachers: Mapping[str, str],
    progress: Progress,
    *,
    fresh: bool = False,
    on_event: OnEvent = ignore_event,
) -> FittedRef:
    """The one encoder with all heads, trained on all rows, or found where it was trained before.

    Args:
        teachers: head → `.npy` file of logits that the head also learns from.
        fresh: train it in the run's own folder, whatever is kept.
        on_event: told of what happens in the training.
    """
    if fresh:
        folder, cached = run.folder / "shared", False
        _fit_shared(run, teachers, folder, progress, on_event)
    else:
        entry = shared_entry(run, teachers)
        with entry.making(resume=True) as making:
            if making is not None:
                _fit_shared(run, teachers, making, progress, on_event)
            else:
                progress.outcome = "trained before, on the same rows"
        folder, cached = entry.folder, making is None
    seconds = read_json(folder / "fitted" / "fit.json")["seconds"]
    return FittedRef(folder=str(folder), seconds=seconds, cached=cached)


def _fit_shared(
    run: Run, teachers: Mapping[str, str], folder: Path, progress: Progress, on_event: OnEvent
) -> None:
    job = FitJob(
        heads=dict(run.heads),
        backbone=run.backbone,
        train=run.train,
        rows=str(run.rows),
        out=str(folder / "fitted"),
        teachers=dict(teachers),
        encoder_sha256=run.encoder_sha256,
    )
    fit_job(job, run.logs / "fit-shared.log", progress, on_event)


def course_of(fitted: Path) -> list[dict[str, Any]]:
    """The events of the training of a fitted folder, in their order; none where they were not kept."""
    try:
        lines = (fitted.parent / EVENTS_FILE).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]
    except (OSError, ValueError):
        return []
