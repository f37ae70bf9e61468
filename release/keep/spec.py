"""What is kept: the `keep` section of the YAML schema (stdlib only).

Whatever these say, the champion, the versions that a rollback may need, what a living process uses and the
small files that a signed record names never go. Does not know where things lie (`release.keep.plan`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from model.spec import SCHEMA_CONFIG, Range

Days = Annotated[int, Range(ge=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepSpec:
    """How much is kept of each kind. The rest is removed at the end of a run and by `headgate clean`."""

    __pydantic_config__ = SCHEMA_CONFIG

    versions: Annotated[int, Range(ge=2)] = 5
    """Versions that served, the champion among them, which a rollback can go to: whole in the release folder
    and in the registry. Of older ones the verdict, its evidence and the figures stay."""
    candidates: Annotated[int, Range(ge=1)] = 5
    """Registered versions that never served whose model stays in the registry, the newest ones: they can be
    judged again or promoted by hand. Of older ones verdict, evidence and figures stay."""
    runs: Annotated[int, Range(ge=1)] = 5
    """Trainings whose run folder stays whole (some 130–470 MB each), the newest ones, and as many runs
    without a training. Of older ones what the verdict was decided by stays, up to 4 MiB a file."""
    datasets: Annotated[int, Range(ge=1)] = 5
    """Merged datasets, those that were used last, besides those of whole run folders and of the champion."""
    cache_days: Days = 30
    """Days after which cached work (baselines, their answers and scores) goes that no run used since. Longer
    than the pause between two trainings, or nothing is found again."""
    report_days: Days = 90
    """Days that the pages of a run stay, and what Great Expectations keeps of it. The pages of versions in
    the release folder stay as long as these do."""
    log_days: Days = 90
    """Days that the logs of a run stay. The endpoint's log is bounded by `deploy.log_max_bytes`."""
    registry_run_days: Days = 90
    """Days that a run in MLflow stays that made no version: sweeps, and registrations that failed. Its
    files go, and MLflow shows it among the deleted ones."""
    flow_run_days: Days = 90
    """Days that Prefect knows of a run that has ended, with its logs and artifacts."""
