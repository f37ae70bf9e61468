"""Reads a job file: JSON on disk → `FitJob`, with errors that name the field (stdlib only)."""

from __future__ import annotations

import json
from pathlib import Path

from .errors import BadInput
from .spec import FitJob, fit_job_from_json


def read_fit_job(path: Path) -> FitJob:
    """The job in `path`.

    Raises:
        BadInput: the file is absent or not JSON, a field is unknown or missing, there is no head, or a
            head has fewer than two labels (multiclass) or none (multilabel), or the same label twice.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"job {path}: cannot be read as JSON: {error}") from error
    try:
        job = fit_job_from_json(raw)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"job {path}: not a fit job: {error}") from error
    _check(path, job)
    return job


def _check(path: Path, job: FitJob) -> None:
    problems = [] if job.heads else ["heads: seen none, expected at least one"]
    for name, head in job.heads.items():
        least = 2 if head.kind == "multiclass" else 1
        if len(head.labels) < least:
            problems.append(f"heads.{name}.labels: seen {len(head.labels)}, expected {least} or more")
        if len(set(head.labels)) != len(head.labels):
            problems.append(f"heads.{name}.labels: the same label twice")
    problems += [f"teachers.{name}: no such head" for name in job.teachers if name not in job.heads]
    if problems:
        raise BadInput(f"job {path}: " + "; ".join(problems))
