"""The MLflow run of a candidate: figures, curves, dataset and files, as this store's client logs them.

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
from release.spec import RegistrySpec
from serving.processes import process_start

HOST_TAG, PID_TAG, START_TAG = "headgate.host", "headgate.pid", "headgate.start_ticks"
"""Tags of a run: the process that writes it, by which a run that was abandoned is known."""
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
        return str(found.experiment_id)
    # A server knows where its artifacts go; a local store would take the folder that a command runs in.
    location = artifact_location(home, spec.tracking_uri, name)
    try:
        return str(registry.client.create_experiment(name, artifact_location=location))
    except MlflowException:
        found = registry.client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def open_run(registry: Registry, experiment: str, candidate: Candidate) -> str:
    """Id of a new run, marked with the process that writes it."""
    tags = {
        HOST_TAG: socket.gethostname(),
        PID_TAG: str(os.getpid()),
        START_TAG: str(process_start(os.getpid())),
        BUNDLE_TAG: candidate.bundle_sha256,
        VERDICT_TAG: candidate.verdict.outcome,
    }
    return str(registry.client.create_run(experiment, run_name=candidate.run_name, tags=tags).info.run_id)


def close_run(registry: Registry, experiment: str, run_id: str, status: str) -> None:
    """End a run that will not be finished, and the model that it was logging (`FAILED` or `KILLED`)."""
    from mlflow.entities import LoggedModelStatus

    client = registry.client
    for model in client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
        if str(model.status) == LoggedModelStatus.PENDING.value:
            client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
    client.set_terminated(run_id, status)


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
    """Parameters, figures and curves. Figures that are not finite are left out
    and named in the tag `headgate.not_finite`."""
    from mlflow.entities import Metric, Param

    now_ms = int(time.time() * 1000)
    params = [Param(_allowed(key), str(value)[:6000]) for key, value in _flat(candidate.params)]
    points = [(key, 0, value) for key, value in candidate.metrics.items()]
    for name, curve in candidate.curves.items():
        thin = max(1, len(curve) // 200)
        points += [(name, step, value) for step, value in curve[::thin]]
    # MLflow stores infinity as 1.8e308, which then passes any comparison.
    finite = [
        Metric(_allowed(key), float(value), now_ms, step)
        for key, step, value in points
        if value is not None and math.isfinite(value)
    ]
    for begin in range(0, max(len(params), 1), 100):
        registry.client.log_batch(run_id, params=params[begin : begin + 100])
    for begin in range(0, len(finite), 500):
        registry.client.log_batch(run_id, metrics=finite[begin : begin + 500])
    broken = sorted({key for key, _, value in points if value is not None and not math.isfinite(value)})
    if broken:
        registry.client.set_tag(run_id, "headgate.not_finite", ", ".join(broken)[:MOST_TEXT])


def log_verdict(registry: Registry, run_id: str, candidate: Candidate) -> None:
    """The verdict and its figures in place of the former ones, where a version is judged again.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    with registry.asked("log the verdict"):
        log_figures(registry, run_id, replace(candidate, params={}, curves={}))
        registry.client.set_tag(run_id, VERDICT_TAG, candidate.verdict.outcome)
        text = json.dumps(candidate.verdict.to_json(), indent=1)
        registry.client.log_text(run_id, text, "verdict.json")


def log_files(registry: Registry, run_id: str, candidate: Candidate) -> None:
    """The verdict, the list of the texts that the model was trained on, and further files."""
    registry.client.log_text(run_id, json.dumps(candidate.verdict.to_json(), indent=1), "verdict.json")
    fault("verdict_logged")
    if candidate.seen is not None:
        registry.log_seen(run_id, candidate.seen)
    fault("seen_texts_logged")
    for file in candidate.files:
        registry.client.log_artifact(run_id, str(file), "files")
    fault("files_logged")


def log_dataset(registry: Registry, run_id: str, name: str, candidate: Candidate) -> None:
    """Which data the candidate was trained and judged on: place, fingerprint, rows a split."""
    from mlflow.data.dataset_source_registry import get_dataset_source_from_json
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    place = json.dumps({"uri": str(candidate.dataset / "dataset.parquet")})
    source = get_dataset_source_from_json(place, "local")
    dataset = MetaDataset(  # type: ignore[abstract]  # its profile is inherited
        source, name=name, digest=candidate.dataset_fingerprint[:16]
    )
    tags = [InputTag("mlflow.data.context", "training, validation, test")]
    tags += [InputTag(f"rows.{split}", str(rows)) for split, rows in candidate.dataset_rows.items()]
    entity = dataset._to_mlflow_entity()  # MLflow's public way needs its global active run
    registry.client.log_inputs(run_id, [DatasetInput(dataset=entity, tags=tags)])


def _flat(params: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in params.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def _allowed(name: str) -> str:
    """The name with characters that MLflow refuses replaced."""
    return re.sub(r"[^\w\-. :/]", "_", name)
