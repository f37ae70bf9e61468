"""Register a candidate: a run with everything that is known of it, and a version with its verdict.

Every candidate is registered, whatever its verdict; no alias is moved here (`release.moves.promote`).
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expectations.verdict import ApprovedVersion, Verdict
from model.bundle.masking import masked
from model.errors import HeadgateError
from model.faults import fault
from model.files import file_sha256, unfinished_prefix
from release.home import Home
from release.journal import Entry, Journal
from release.keys import key_folder, signing_pair
from release.registry import model as pyfunc
from release.registry.candidate import Candidate
from release.registry.client import (
    BUNDLE_TAG,
    CODE_TAG,
    DATASET_TAG,
    REASONS_TAG,
    SEQUENCE_TAG,
    VERDICT_TAG,
    Registry,
    RegistryProblem,
    open_registry,
)
from release.registry.judgement import model_digests, sign_judgement
from release.registry.run import (
    MOST_TEXT,
    close_run,
    experiment_id,
    fail_models,
    log_dataset,
    log_figures,
    log_files,
    open_run,
)
from release.registry.tracking.course import log_points
from release.registry.tracking.describe import MODEL_TRAINING, run_link
from release.registry.tracking.flow_run import Tracked
from release.registry.tracking.inputs import split_entity_of
from release.registry.tracking.models import VERSIONS_TAG, figures_on, model_params, track_models
from release.registry.tracking.pages import describe, readable_tags
from release.registry.tracking.report_folder import log_pages
from release.spec import RegistrySpec
from serving.store.pointer import PointerBroken
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import PUBLIC_KEY

SHORT = 16
"""Digits of a digest that a person compares; the whole one is in the signed record."""
REGISTERING = "registering"
"""Prefix of the temporary folder that a model is saved in, followed by the process's id."""


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
    experiment: str = ""
    """Id of the experiment; empty where it was not asked for."""

    @property
    def facts(self) -> dict[str, Any]:
        """What is shown and kept of it: `version`, `run_id`, `tracking_uri`, `page` below that address."""
        page = f"#/runs/{self.run_id}"
        if self.experiment:
            page = f"{run_link(self.experiment, self.run_id)}{MODEL_TRAINING}"
        uri = masked(self.tracking_uri)
        return {"version": self.version, "run_id": self.run_id, "tracking_uri": uri, "page": page}


class BundleChanged(HeadgateError):
    """The bundle is not the one that was judged."""


def approve(registered: RegisteredVersion, verdict: Verdict) -> ApprovedVersion:
    """The registered version as one that may be promoted.

    Raises:
        expectations.verdict.NotApproved: the verdict is not a pass.
    """
    return ApprovedVersion(
        name=registered.name,
        version=registered.version,
        bundle_sha256=registered.bundle_sha256,
        verdict=verdict,
    )


def register_version(
    home: Home, name: str, spec: RegistrySpec, candidate: Candidate, *, tracked: Tracked | None = None
) -> RegisteredVersion:
    """Register a candidate of project `name` with its verdict.

    The version comes into being last and complete: what dies before leaves a run without a version,
    which `release.moves.reconcile` closes.

    Args:
        tracked: the run of the flow, which then is the version's and stays open; None: one is made.

    Raises:
        BundleChanged: the bundle is not the one that was judged.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    seen, journal = file_sha256(candidate.bundle / "manifest.json"), Journal(home.journal / f"{name}.jsonl")
    if seen != candidate.bundle_sha256:
        changed = BundleChanged(
            f"bundle {candidate.bundle}: its manifest has sha256 {seen[:12]}, but "
            f"{candidate.bundle_sha256[:12]} was judged; it was changed since. Run again"
        )
        journal.append(Entry(event="refused", version=None, detail=str(changed)))
        raise changed
    registry = open_registry(home, name, spec)
    with registry.asked("register a version"):
        experiment = experiment_id(registry, home, spec.experiment or name, spec)
        fault("experiment_made")
        place = tracked if tracked is not None and tracked.uri == registry.uri else None
        run_id = open_run(registry, experiment, candidate, "" if place is None else place.run)
        try:
            fault("run_opened")
            version = _fill_run(registry, home, Place(experiment, run_id), name, candidate)
            if place is not None:
                test = split_entity_of(name, candidate)
                track_models(registry.client, place, candidate.models, candidate.params, test)
        except Exception:
            # If the registry is what failed, this fails too, and `release.moves.reconcile` closes the run
            # later.
            with contextlib.suppress(Exception):
                if place is None:
                    close_run(registry, experiment, run_id, "FAILED")
                else:
                    fail_models(registry, experiment, run_id)
            raise
        if place is None:
            registry.client.set_terminated(run_id, "FINISHED")
        fault("run_closed")
    outcome = candidate.verdict.outcome
    journal.append(Entry(event="registered", version=version, detail=f"verdict: {outcome}"))
    fault("registration_journalled")
    return RegisteredVersion(
        name=registry.model,
        version=version,
        run_id=run_id,
        bundle_sha256=candidate.bundle_sha256,
        tracking_uri=registry.uri,
        experiment=experiment,
    )


def registered_before(
    home: Home, name: str, spec: RegistrySpec, candidate: Candidate, version: int
) -> RegisteredVersion | None:
    """The version of project `name` that a run that was cut short had registered, if it holds this candidate.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    registry = open_registry(home, name, spec)
    if not version or registry.bundle_of(version) != candidate.bundle_sha256:
        return None
    return RegisteredVersion(
        name=registry.model,
        version=version,
        run_id=registry.run_of(version),
        bundle_sha256=candidate.bundle_sha256,
        tracking_uri=registry.uri,
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a candidate is logged."""

    experiment: str
    """Id of the experiment."""
    run: str
    """Id of the run."""


def _fill_run(registry: Registry, home: Home, place: Place, name: str, candidate: Candidate) -> int:
    """Log everything to an open run, then make the version."""
    run_id = place.run
    log_figures(registry, run_id, candidate)
    fault("figures_logged")
    log_files(registry, run_id, candidate)
    log_dataset(registry, run_id, name, candidate)
    fault("dataset_logged")
    logged, digests = _log_model(registry, home, place, name, candidate)
    above = highest_released(home, name, registry.spec)
    version = _create_version(registry, run_id, logged, candidate, above=above)
    private_key, _ = signing_pair(home, name, registry.spec)
    sign_judgement(registry, private_key, run_id, version, candidate, digests)
    describe(registry, place, name, candidate, version)
    return version


def attach(registry: Registry, run_id: str, pages: Path) -> None:
    """Keep a page, or a folder of pages, as `report/` of a run.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    with registry.asked("log the report"):
        log_pages(registry.client, run_id, pages)
    fault("pages_logged")


def _log_model(
    registry: Registry, home: Home, place: Place, name: str, candidate: Candidate
) -> tuple[Any, dict[str, str]]:
    """MLflow's record of the model, its files written, and their digests."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model

    client, run_id = registry.client, place.run
    made = client.create_logged_model(
        place.experiment,
        name=name,
        source_run_id=run_id,
        model_type="headgate",
        params=model_params({**candidate.params, "bundle": candidate.bundle_sha256[:12]}),
        tags={"verdict": candidate.verdict.outcome},
    )
    fault("model_opened")
    with tempfile.TemporaryDirectory(prefix=unfinished_prefix(REGISTERING), dir=home.cache) as temporary:
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
        digests = model_digests(folder / "model")
        client.log_model_artifacts(made.model_id, str(folder / "model"))
        fault("model_logged")
    client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(made.model_id, step=0)])
    figures = {key: value for key, value in candidate.metrics.items() if key.startswith("test/")}
    log_points(client, run_id, figures_on(split_entity_of(name, candidate), figures, run_id, made.model_id))
    fault("model_closed")
    return made, digests


def highest_released(home: Home, name: str, spec: RegistrySpec) -> int:
    """The highest number that a version of project `name` has had in its release folder, 0 for none. Only a
    version above it can be promoted."""
    folder = ReleaseFolder(home.releases(name), name)
    key = key_folder(home, spec) / PUBLIC_KEY
    pointer = None
    with contextlib.suppress(PointerBroken):  # then nothing is promoted before somebody mends that
        pointer = folder.latest_pointer(key) if key.is_file() else None
    return max([0, *folder.versions(), pointer.approval if pointer is not None else 0])


def _create_version(registry: Registry, run_id: str, logged: Any, candidate: Candidate, *, above: int) -> int:
    from mlflow.exceptions import MlflowException

    client, verdict = registry.client, candidate.verdict
    try:
        client.create_registered_model(registry.model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    fault("model_named")
    tags = {
        VERDICT_TAG: verdict.outcome,
        REASONS_TAG: "; ".join(verdict.reasons)[:MOST_TEXT],
        BUNDLE_TAG: candidate.bundle_sha256,
        DATASET_TAG: candidate.dataset_fingerprint[:SHORT],
        CODE_TAG: candidate.code_digest[:SHORT],
        **readable_tags(candidate),
    }
    # By its place: `models:/ID` would be looked up in MLflow's global store instead of this one.
    number, made = -1, None
    while made is None or int(made.version) <= above:
        if made is not None:
            # The registry forgot numbers that the release folder remembers: each of them is passed over.
            client.delete_model_version(registry.model, made.version)
        made = client.create_model_version(
            registry.model, logged.artifact_location, run_id=run_id, tags=tags, model_id=logged.model_id
        )
        if int(made.version) <= number:
            raise RegistryProblem(
                f"registry {registry.uri}: model {registry.model!r}: it gives the number {made.version} "
                f"twice, and up to {above} were released already; name another model (`registry.model`)"
            )
        number = int(made.version)
    fault("version_registered")
    # By these its page says that it is registered, and as what.
    versions = json.dumps([{"name": registry.model, "version": number}])
    client.set_logged_model_tags(logged.model_id, {VERSIONS_TAG: versions})
    # The order of approvals is that of the versions.
    client.set_model_version_tag(registry.model, made.version, SEQUENCE_TAG, str(made.version))
    fault("version_tagged")
    return int(made.version)
