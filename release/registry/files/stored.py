"""The model files of registered versions: whether they are there, how large, and their removal.

Of a version whose files were removed its record stays: verdict, signed judgement, figures, the list of the
texts that it was trained on. Does not decide which go (`release.keep.models`).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from model.files import unfinished_path
from release.home import Home
from release.registry.client import FILES_TAG, Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A version whose files were not removed."""

    version: int
    source: str
    """Where MLflow keeps them: a folder, or an address."""

    @property
    def folder(self) -> Path | None:
        """The folder on this machine; None where a server keeps them."""
        address = urlparse(self.source)
        return Path(unquote(address.path)) if address.scheme in ("", "file") else None


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
        folder = stored.folder
        if folder is None:
            from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

            get_artifact_repository(stored.source, tracking_uri=registry.uri).delete_artifacts()
        elif folder.is_dir():
            _remove(folder, home)
        registry.client.set_model_version_tag(registry.model, str(stored.version), FILES_TAG, why)


def _remove(folder: Path, home: Home) -> None:
    """Renamed into the state folder first, where the next start finds what a crash left; elsewhere where that
    is another file system."""
    doomed = unfinished_path(home.root / folder.name)
    try:
        folder.rename(doomed)
    except OSError:
        doomed = folder
    shutil.rmtree(doomed, ignore_errors=True)
