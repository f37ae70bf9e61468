"""The MLflow run of a candidate: figures, dataset and files, as this store's client logs them.

Nothing global is set: MLflow's fluent functions would need its active run. Does not know versions.
"""

from __future__ import annotations

import json
import math
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from model.faults import fault
from release.home import Home
from release.registry.candidate import Candidate
from release.registry.client import BUNDLE_TAG, VERDICT_TAG, Registry
from release.registry.store import artifact_location
from release.registry.tracking.inputs import split_inputs
from release.registry.tracking.tables import answer_tables, evidence_table, log_tables
from release.spec import RegistrySpec
from serving.processes import process_start

HOST_TAG, PID_TAG, START_TAG = "headgate.host", "headgate.pid", "headgate.start_ticks"
"""Tags of a run: the process that writes it, by which a run that was abandoned is known."""
KIND_TAG, TRAINING_KIND = "mlflow.experimentKind", "custom_model_development"
"""Tag of an experiment, and its value for one that opens with its training runs."""
MOST_TEXT = 4000
"""Longest tag that is written, in characters."""


def experiment_id(registry: Registry, home: Home, name: str, spec: RegistrySpec) -> str:
    """Id of the experiment, made on first use; another process may be making it at the same time. One that
    somebody deleted comes out of the bin again."""
    from mlflow.exceptions import MlflowException

    found = registry.client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            registry.client.restore_experiment(found.experiment_id)
        if KIND_TAG not in (found.tags or {}):
            registry.client.set_experiment_tag(found.experiment_id, KIND_TAG, TRAINING_KIND)
        return str(found.experiment_id)
    # A server knows where its artifacts go; a local store would take the folder that a command runs in.
    location = artifact_location(home, spec.tracking_uri, name)
    try:
        return str(registry.client.create_experiment(name, location, tags={KIND_TAG: TRAINING_KIND}))
    except MlflowException:
        found = registry.client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def process_tags() -> dict[str, str]:
    """Tags that say which process writes a run."""
    return {
        HOST_TAG: socket.gethostname(),
        PID_TAG: str(os.getpid()),
        START_TAG: str(process_start(os.getpid())),
    }


def open_run(registry: Registry, experiment: str, candidate: Candidate, tracked: str = "") -> str:
    """Id of the run that a candidate is logged to, marked with the process that writes it: the flow's, or a
    new one where it has none."""
    tags = {BUNDLE_TAG: candidate.bundle_sha256, VERDICT_TAG: candidate.verdict.outcome, **process_tags()}
    if tracked:
        for tag, value in tags.items():
            registry.client.set_tag(tracked, tag, value)
        return tracked
    return str(registry.client.create_run(experiment, run_name=candidate.run_name, tags=tags).info.run_id)


def fail_models(registry: Registry, experiment: str, run_id: str) -> None:
    """Note of the models that a run was logging, and did not finish, that they failed."""
    from mlflow.entities import LoggedModelStatus

    for model in registry.client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
        if str(model.status) == LoggedModelStatus.PENDING.value:
            registry.client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)


def close_run(registry: Registry, experiment: str, run_id: str, status: str) -> None:
    """End a run that will not be finished, and the model that it was logging (`FAILED` or `KILLED`)."""
    fail_models(registry, experiment, run_id)
    registry.client.set_terminated(run_id, status)


def close_abandoned_runs(registry: Registry, experiment: str) -> list[str]:
    """Close runs that a process of this machine opened and did not live to close; one sentence each.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    done = []
    with registry.asked("close abandoned runs"):
        client = registry.client
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return []
        for run in client.search_runs([found.experiment_id], "attributes.status = 'RUNNING'"):
            tags = run.data.tags
            if tags.get(HOST_TAG) != socket.gethostname() or not tags.get(PID_TAG, "").isdigit():
                continue
            if str(process_start(int(tags[PID_TAG]))) == tags.get(START_TAG):
                continue
            close_run(registry, found.experiment_id, run.info.run_id, "KILLED")
            done.append(f"closed run {run.info.run_name}, which its process left open")
    return done


def log_figures(registry: Registry, run_id: str, candidate: Candidate) -> None:
    """Parameters and headline figures. Figures that are not finite are left out and named in the tag
    `headgate.not_finite`."""
    from mlflow.entities import Param

    params = [Param(allowed_name(key), str(value)[:6000]) for key, value in flat(candidate.params)]
    # MLflow stores infinity as 1.8e308, which then passes any comparison.
    finite = {key: value for key, value in candidate.metrics.items() if math.isfinite(value)}
    for begin in range(0, max(len(params), 1), 100):
        registry.client.log_batch(run_id, params=params[begin : begin + 100])
    registry.client.log_batch(run_id, metrics=_points(finite))
    if broken := sorted(set(candidate.metrics) - set(finite)):
        registry.client.set_tag(run_id, "headgate.not_finite", ", ".join(broken)[:MOST_TEXT])


def _points(figures: Mapping[str, float]) -> list[Any]:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    return [Metric(allowed_name(key), float(value), now_ms, 0) for key, value in figures.items()]


def log_verdict(registry: Registry, run_id: str, candidate: Candidate) -> None:
    """The verdict and its figures in place of the former ones, where a version is judged again.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    with registry.asked("log the verdict"):
        log_figures(registry, run_id, replace(candidate, params={}))
        registry.client.set_tag(run_id, VERDICT_TAG, candidate.verdict.outcome)
        _log_evidence(registry, run_id, candidate)


def log_files(registry: Registry, run_id: str, candidate: Candidate) -> None:
    """The verdict, the list of the texts that the model was trained on, and further files."""
    _log_evidence(registry, run_id, candidate)
    fault("verdict_logged")
    if candidate.seen is not None:
        registry.log_seen(run_id, candidate.seen)
    fault("seen_texts_logged")
    for file in candidate.files:
        registry.client.log_artifact(run_id, str(file), "files")
    fault("files_logged")


def _log_evidence(registry: Registry, run_id: str, candidate: Candidate) -> None:
    """The verdict as JSON and as a table, and each head's answers to its test rows."""
    registry.client.log_text(run_id, json.dumps(candidate.verdict.to_json(), indent=1), "verdict.json")
    tables = {"verdict_table.json": evidence_table(candidate.verdict)}
    texts = candidate.texts if registry.spec.log_mistakes else None
    log_tables(registry.client, run_id, tables | answer_tables(candidate.scores, candidate.heads, texts))


def log_dataset(registry: Registry, run_id: str, name: str, candidate: Candidate) -> None:
    """Which data the candidate was trained and judged on: one input a split."""
    inputs = split_inputs(name, candidate.dataset, candidate.dataset_fingerprint, candidate.dataset_rows)
    if inputs:
        registry.client.log_inputs(run_id, inputs)


def flat(params: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """(Dotted name, value) of nested parameters."""
    found: list[tuple[str, Any]] = []
    for key, value in params.items():
        if isinstance(value, Mapping):
            found += flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def allowed_name(name: str) -> str:
    """The name with blanks, and characters that MLflow refuses, replaced."""
    return re.sub(r"[^\w\-.:/]", "_", name)
