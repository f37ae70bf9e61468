"""Fit single-head models, side by side where there is room, and not at all where the cache has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.config.schema import Project
from flows.runner import started
from model.code import code_digest
from model.jobs.fit import FittedRef, baseline_key, fit_baseline, is_fitted
from tasks.data.prepare_run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One single-head model."""

    name: str
    """Its head."""
    rows: Path
    """Rows folder that it is fitted on."""
    fingerprint: str
    """Stands for the rows of the head there."""
    part: str = ""
    """Told with its name where the rows are not all rows, such as `fold 2 of 3`."""


def fit_heads(project: Project, run: Run) -> dict[str, FittedRef]:
    """One baseline a head."""
    wanted = [Wanted(name=name, rows=run.rows, fingerprint=run.head_fingerprints[name]) for name in run.heads]
    return dict(zip(run.heads, fit_all(project, run, wanted), strict=True))


def fit_all(project: Project, run: Run, wanted: Sequence[Wanted]) -> list[FittedRef]:
    """The models in the order in which they are wanted, fitted where `project.runner` says.

    Raises:
        model.jobs.process.ModelProcessError: a training ended badly.
        model.jobs.fit.OtherCode: a worker of the cluster has another version of this program.
    """
    calls = [_call(project, run, one) for one in wanted]
    waiting = [number for number, call in enumerate(calls) if not is_fitted(run.cache, call["key"])]
    spec, found = project.runner, {}
    alone = spec.kind == "threads" and (spec.side_by_side == 1 or len(waiting) == 1)
    if waiting and not alone:
        with started(spec) as runner:
            futures = {number: runner.submit(fit_baseline, calls[number]) for number in waiting}
            found = {number: future.result() for number, future in futures.items()}
    return [found.get(number) or fit_baseline(**call) for number, call in enumerate(calls)]


def _call(project: Project, run: Run, one: Wanted) -> dict[str, Any]:
    """What `fit_baseline` is called with."""
    head = run.heads[one.name]
    return {
        "name": one.name,
        "head": head,
        "key": baseline_key(head, one.fingerprint, project.backbone, run.encoder_sha256, project.train),
        "backbone": project.backbone,
        "train": project.train,
        "rows": one.rows,
        "cache": run.cache,
        "logs": run.logs,
        "part": one.part,
        "code": code_digest(),
    }
