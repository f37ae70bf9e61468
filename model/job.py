"""Reads JSON files that a command is given, such as a job file; errors name the field (stdlib only)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import BadInput
from .files import read_json
from .spec import FitJob, fit_job_from_json


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        BadInput: the file is absent, not JSON or not an object.
    """
    try:
        raw = read_json(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(raw, dict):
        raise BadInput(f"{path}: seen a {type(raw).__name__}, expected a JSON object")
    return raw


def read_fit_job(path: Path) -> FitJob:
    """The job in `path`.

    Raises:
        BadInput: the file is absent or not JSON, a field is unknown or missing, there is no head, or a
            head has fewer than two labels (multiclass) or none (multilabel), or a label twice.
    """
    try:
        job = fit_job_from_json(read_object(path))
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
            problems.append(f"heads.{name}.labels: a label is listed twice")
    problems += [f"teachers.{name}: no such head" for name in job.teachers if name not in job.heads]
    if problems:
        raise BadInput(f"job {path}: " + "; ".join(problems))
