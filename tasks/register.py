"""Register a candidate: a run with everything that is known of it, and a version with its verdict.

Every candidate is registered, whatever its verdict; no alias is moved here (`tasks.promote`).
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.verdict import Verdict
from serving.process import start_ticks
from tasks import pyfunc
from tasks.digest import file_sha256
from tasks.faults import fault
from tasks.home import Home
from tasks.journal import Entry, Journal
from tasks.prepare import Run
from tasks.progress import Step
from tasks.references import BundleRef
from tasks.registry import (
    BUNDLE_TAG,
    CODE_TAG,
    DATASET_TAG,
    REASONS_TAG,
    SEQUENCE_TAG,
    VERDICT_TAG,
    Registry,
    open_registry,
)
from tasks.spec import RegistrySpec

HOST_TAG, PID_TAG, START_TAG = "headgate.host", "headgate.pid", "headgate.start_ticks"
"""Tags of a run: the process that writes it, by which a run that was abandoned is known."""
REGISTERING = "registering-"
"""Prefix of the temporary folder that a model is saved in, followed by the process's id."""
MOST_REASON_CHARS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """A version in the registry."""

    name: str
    """Registered model."""
    version: int
    run_id: str
    """MLflow run with everything that is known of it."""
    bundle_sha256: str
    """Digest of the bundle's manifest."""
    tracking_uri: str

    @property
    def facts(self) -> dict[str, Any]:
        """What is shown of it: `version`, `run_id`, `tracking_uri`."""
        return {"version": self.version, "run_id": self.run_id, "tracking_uri": self.tracking_uri}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What is registered."""

    bundle: Path
    """Bundle folder."""
    bundle_sha256: str
    """Digest of its manifest when it was judged."""
    verdict: Verdict
    run_name: str
    dataset: Path
    """Dataset folder."""
    dataset_fingerprint: str
    dataset_rows: Mapping[str, int] = field(default_factory=dict)
    """Split → texts."""
    code_digest: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Recipe and versions; nested mappings become dotted names."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Name → figure. One that is not finite is left out and named in a tag."""
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    """Name → (step, value) points of the training."""
    files: Sequence[Path] = ()
    """Further files to keep with the run."""


class BundleChanged(Exception):
    """The bundle is not the one that was judged."""


@task(name="register", cache_policy=NO_CACHE, persist_result=False)
def register(
    home: Home,
    name: str,
    spec: RegistrySpec,
    run: Run,
    shared: BundleRef,
    verdict: Verdict,
    *,
    dataset: Path,
    files: Sequence[Path] = (),
) -> RegisteredVersion:
    """Register the shared model of a run of the flow with its verdict.

    Raises:
        BundleChanged: the bundle is not the one that was packaged.
        tasks.registry.RegistryProblem: the registry can't be reached.
    """
    with Step("register") as step:
        registered = register_version(home, name, spec, _candidate(run, shared, verdict, dataset, files))
        step.outcome = f"{registered.name} version {registered.version} ({verdict.outcome})"
    return registered


def register_version(home: Home, name: str, spec: RegistrySpec, candidate: Candidate) -> RegisteredVersion:
    """Register a candidate of project `name` with its verdict.

    The version comes into being last and complete: what dies before leaves a run without a version,
    which `tasks.reconcile` closes.

    Raises:
        BundleChanged: the bundle is not the one that was judged.
        tasks.registry.RegistryProblem: the registry can't be reached.
    """
    seen = file_sha256(candidate.bundle / "manifest.json")
    if seen != candidate.bundle_sha256:
        raise BundleChanged(
            f"bundle {candidate.bundle}: its manifest has sha256 {seen[:12]}, but "
            f"{candidate.bundle_sha256[:12]} was judged; it was changed since. Run again"
        )
    registry = open_registry(home, name, spec)
    with registry.asked("register a version"):
        experiment = _experiment(registry, home, spec.experiment or name, spec)
        run_id = _open_run(registry, experiment, candidate)
        fault("run_opened")
        _log_figures(registry, run_id, candidate)
        fault("figures_logged")
        _log_dataset(registry, run_id, name, candidate)
        fault("dataset_logged")
        logged = _log_model(registry, home, experiment, run_id, name, candidate)
        fault("model_logged")
        version = _create_version(registry, run_id, logged, candidate)
        fault("version_registered")
        registry.client.set_terminated(run_id, "FINISHED")
        fault("run_closed")
    outcome = candidate.verdict.outcome
    Journal(home.journal / f"{name}.jsonl").append(
        Entry(event="registered", version=version, detail=f"verdict: {outcome}")
    )
    return RegisteredVersion(
        name=registry.model,
        version=version,
        run_id=run_id,
        bundle_sha256=candidate.bundle_sha256,
        tracking_uri=registry.uri,
    )


@task(name="log-pages", cache_policy=NO_CACHE, persist_result=False)
def log_pages(
    home: Home, name: str, spec: RegistrySpec, registered: RegisteredVersion, pages: Mapping[str, str]
) -> None:
    """Keep the report's pages (title → file or folder) with the run of a registered version.

    Raises:
        tasks.registry.RegistryProblem: the registry can't be reached.
    """
    attach(open_registry(home, name, spec), registered.run_id, [Path(page) for page in pages.values()])


def attach(registry: Registry, run_id: str, paths: Sequence[Path]) -> None:
    """Keep files and folders below `report/` of a run.

    Raises:
        tasks.registry.RegistryProblem: the registry can't be reached.
    """
    with registry.asked("log the report"):
        for path in paths:
            registry.client.log_artifact(run_id, str(path), "report")
    fault("pages_logged")


def _candidate(
    run: Run, shared: BundleRef, verdict: Verdict, dataset: Path, files: Sequence[Path]
) -> Candidate:
    card = json.loads((Path(shared.path) / "card.json").read_text(encoding="utf-8"))
    history = json.loads((Path(shared.fitted) / "history.json").read_text(encoding="utf-8"))
    curves = {"train/loss": [(point["step"], point["loss"]) for point in history["steps"]]}
    for epoch in history["epochs"]:
        curves.setdefault("validation/mean", []).append((epoch["step"], epoch["mean"]))
        for head, value in epoch["metrics"].items():
            curves.setdefault(f"validation/{head}", []).append((epoch["step"], value))
    return Candidate(
        bundle=Path(shared.path),
        bundle_sha256=shared.sha256,
        verdict=verdict,
        run_name=run.id,
        dataset=dataset,
        dataset_fingerprint=run.provenance["dataset_fingerprint"],
        dataset_rows=run.provenance["dataset_rows"],
        code_digest=run.provenance["code_digest"],
        params={key: run.provenance[key] for key in ("backbone", "train", "versions")},
        metrics={**card_figures(card), **verdict_figures(verdict)},
        curves=curves,
        files=files,
    )


def card_figures(card: Mapping[str, Any]) -> dict[str, float]:
    """Figures of a card, named `validation/emotion/macro_f1`."""
    return {
        f"{where}/{head}/{figure}": value
        for where, heads in card.get("metrics", {}).items()
        for head, figures in heads.items()
        for figure, value in figures.items()
        if isinstance(value, int | float)
    }


def verdict_figures(verdict: Verdict) -> dict[str, float]:
    """Figures behind a verdict, named `emotion/difference`; words and missing ones are left out."""
    return {
        f"{finding.subject}/{figure}": value
        for finding in verdict.findings
        for figure, value in finding.figures.items()
        if isinstance(value, int | float)
    }


def _experiment(registry: Registry, home: Home, name: str, spec: RegistrySpec) -> str:
    """Id of the experiment, made on first use; another process may be making it at the same time."""
    from mlflow.exceptions import MlflowException

    from tasks.store import artifacts

    found = registry.client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # A server knows where its artifacts go; the local store has to be told.
    location = None if spec.tracking_uri is not None else str(artifacts(home) / name)
    try:
        return str(registry.client.create_experiment(name, artifact_location=location))
    except MlflowException:
        found = registry.client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _open_run(registry: Registry, experiment: str, candidate: Candidate) -> str:
    tags = {
        HOST_TAG: socket.gethostname(),
        PID_TAG: str(os.getpid()),
        START_TAG: str(start_ticks(os.getpid())),
        BUNDLE_TAG: candidate.bundle_sha256,
        VERDICT_TAG: candidate.verdict.outcome,
    }
    return str(registry.client.create_run(experiment, run_name=candidate.run_name, tags=tags).info.run_id)


def _log_figures(registry: Registry, run_id: str, candidate: Candidate) -> None:
    import time

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
        registry.client.set_tag(run_id, "headgate.not_finite", ", ".join(broken)[:MOST_REASON_CHARS])
    registry.client.log_text(run_id, json.dumps(candidate.verdict.to_json(), indent=1), "verdict.json")
    for file in candidate.files:
        registry.client.log_artifact(run_id, str(file), "files")


def _log_dataset(registry: Registry, run_id: str, name: str, candidate: Candidate) -> None:
    from mlflow.data.dataset_source_registry import get_dataset_source_from_json
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    place = json.dumps({"uri": str(candidate.dataset / "dataset.parquet")})
    source = get_dataset_source_from_json(place, "local")
    dataset = MetaDataset(source, name=name, digest=candidate.dataset_fingerprint[:16])
    tags = [InputTag("mlflow.data.context", "training, validation, test")]
    tags += [InputTag(f"rows.{split}", str(rows)) for split, rows in candidate.dataset_rows.items()]
    entity = dataset._to_mlflow_entity()  # MLflow's public way needs its global active run
    registry.client.log_inputs(run_id, [DatasetInput(dataset=entity, tags=tags)])


def _log_model(
    registry: Registry, home: Home, experiment: str, run_id: str, name: str, candidate: Candidate
) -> Any:
    """MLflow's record of the model, its files written."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model

    client = registry.client
    made = client.create_logged_model(experiment, name=name, source_run_id=run_id, model_type="headgate")
    with tempfile.TemporaryDirectory(prefix=f"{REGISTERING}{os.getpid()}-", dir=home.cache) as temporary:
        folder = Path(temporary)
        (folder / "code").mkdir()
        bundle = folder / "bundle"
        shutil.copytree(candidate.bundle, bundle)
        about = Model(
            artifact_path=made.artifact_location,
            run_id=run_id,
            model_uuid=made.model_id,
            model_id=made.model_id,
        )
        pyfunc.save(bundle, folder / "model", folder / "code", about)
        fault("model_saved")
        client.log_model_artifacts(made.model_id, str(folder / "model"))
    client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(made.model_id, step=0)])
    return made


def _create_version(registry: Registry, run_id: str, logged: Any, candidate: Candidate) -> int:
    from mlflow.exceptions import MlflowException

    client, verdict = registry.client, candidate.verdict
    try:
        client.create_registered_model(registry.model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {
        VERDICT_TAG: verdict.outcome,
        REASONS_TAG: "; ".join(verdict.reasons)[:MOST_REASON_CHARS],
        BUNDLE_TAG: candidate.bundle_sha256,
        DATASET_TAG: candidate.dataset_fingerprint,
        CODE_TAG: candidate.code_digest,
    }
    # By its place: `models:/ID` would be looked up in MLflow's global store instead of this one.
    made = client.create_model_version(
        registry.model, logged.artifact_location, run_id=run_id, tags=tags, model_id=logged.model_id
    )
    # The order of approvals is that of the versions.
    client.set_model_version_tag(registry.model, made.version, SEQUENCE_TAG, str(made.version))
    return int(made.version)


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
