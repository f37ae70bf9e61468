"""The model files of registered versions: whether they are there, how large, and their removal.

Of a version whose files were removed its record stays: verdict, signed judgement, figures, the list of the
texts that it was trained on. Does not decide which go (`release.keep.models`).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from model.files import unfinished_path
from release.home import Home
from release.registry.client import FILES_TAG, Registry
from release.registry.tracking.course import PARENT_TAG

MOST_RUNS = 1000
"""Most runs that are looked at at once; the next clean goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A version whose files were not removed."""

    version: int
    source: str
    """Where MLflow keeps them: a folder, or an address."""

    @property
    def folder(self) -> Path | None:
        """The folder on this machine; None where a server keeps them."""
        return _local(self.source)


def stored_models(registry: Registry) -> list[StoredModel]:
    """Every version that has its files, oldest first.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    found, token = [], None
    with registry.asked("list the versions"):
        while True:
            page = registry.client.search_model_versions(f"name = '{registry.model}'", page_token=token)
            found += [
                StoredModel(version=int(one.version), source=str(one.source))
                for one in page
                if FILES_TAG not in (one.tags or {})
            ]
            token = page.token
            if not token:
                return sorted(found, key=lambda one: one.version)


def remove_model(registry: Registry, home: Home, stored: StoredModel, why: str) -> None:
    """Remove the files of a version, then say so at the version: a crash in between is made good by the next
    removal.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    with registry.asked(f"remove the files of version {stored.version}"):
        _remove_source(registry, home, stored.source)
        registry.client.set_model_version_tag(registry.model, str(stored.version), FILES_TAG, why)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run of MLflow's that made no version."""

    run_id: str
    name: str
    source: str
    """Where MLflow keeps its files."""

    @property
    def folder(self) -> Path | None:
        """The folder on this machine; None where a server keeps them."""
        return _local(self.source)


def runs_without_version(registry: Registry, experiment: str, ended_before: float) -> list[StoredRun]:
    """Runs of an experiment that ended before that time (seconds since 1970) and made no version.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    client = registry.client
    with registry.asked("list the runs"):
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return []
        wanted = f"attributes.end_time > 0 and attributes.end_time < {int(ended_before * 1000)}"
        old = client.search_runs([found.experiment_id], wanted, max_results=MOST_RUNS)
        without = {
            one.info.run_id
            for one in old
            if not client.search_model_versions(f"run_id = '{one.info.run_id}'", max_results=1)
        }
        # The run of a training stays as long as that of its flow, which may have made a version.
        ended = {one.info.run_id for one in old} - without
        return [
            StoredRun(run_id=one.info.run_id, name=str(one.info.run_name), source=str(one.info.artifact_uri))
            for one in old
            if one.info.run_id in without and one.data.tags.get(PARENT_TAG) not in ended
        ]


def remove_run(registry: Registry, home: Home, stored: StoredRun) -> None:
    """Remove the files of a run, then the run.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    with registry.asked(f"remove the run {stored.name}"):
        _remove_source(registry, home, stored.source)
        experiment = registry.client.get_run(stored.run_id).info.experiment_id
        for model in registry.client.search_logged_models([experiment], f"source_run_id = '{stored.run_id}'"):
            registry.client.delete_logged_model(model.model_id)
        registry.client.delete_run(stored.run_id)


def _remove_source(registry: Registry, home: Home, source: str) -> None:
    folder = _local(source)
    if folder is None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        repository: Any = get_artifact_repository(source, tracking_uri=registry.uri)
        repository.delete_artifacts()
    elif folder.is_dir():
        _remove(folder, home)


def _local(source: str) -> Path | None:
    address = urlparse(source)
    return Path(unquote(address.path)) if address.scheme in ("", "file") else None


def _remove(folder: Path, home: Home) -> None:
    """Renamed into the state folder first, where the next start finds what a crash left; elsewhere where that
    is another file system."""
    doomed = unfinished_path(home.root / folder.name)
    try:
        folder.rename(doomed)
    except OSError:
        doomed = folder
    shutil.rmtree(doomed, ignore_errors=True)
