"""The MLflow registry as the release path needs it: versions with their verdict, two aliases, one tag.

Every call names its store, so nothing global is set. Does not decide which version may serve.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.bundle.masking import masked
from model.errors import HeadgateError
from model.faults import fault
from release.home import Home
from release.registry.store import relocated, tracking_uri
from release.spec import RegistrySpec
from serving.store.manifest import SEEN_FILE

if TYPE_CHECKING:
    from mlflow import MlflowClient

POINTER_TAG = "headgate.pointer"
"""Tag of the registered model: the signed pointer, as JSON, which replicas follow."""
VERDICT_TAG = "headgate.verdict"
REASONS_TAG = "headgate.reasons"
BUNDLE_TAG = "headgate.bundle_sha256"
DATASET_TAG = "headgate.dataset_fingerprint"
CODE_TAG = "headgate.code_digest"
SEQUENCE_TAG = "headgate.sequence"
FILES_TAG = "headgate.files_removed"
"""Tag of a version whose model files were removed (`release.registry.files.stored`): why."""
BOND_TAG = "headgate.releases"
"""Tag of the experiment: id of the release folder that it belongs to (`release.registry.bond`)."""

RELEASE_PATH = "release"
"""Artifact folder of the run with the signed release manifest of its version."""
SEEN_PATH = "seen_texts"
"""Artifact folder of the run with the ids of the texts that its model was trained on."""


NOT_THERE = "RESOURCE_DOES_NOT_EXIST"
"""MLflow's word for what was deleted, or was never there."""

LATER = (429, 502, 503, 504)
"""HTTP status of a server that can't answer now."""
SILENT = frozenset({"ConnectionError", "Timeout", "TimeoutError", "RetryError", "OperationalError"})
"""Errors of Python, of the HTTP client and of databases, by name: whoever was asked did not answer."""
_LATER = re.compile(rf"error code ({'|'.join(map(str, LATER))})\b")
"""How MLflow words such a reply that is no JSON."""


class RegistryProblem(HeadgateError):
    """The registry can't be reached or refused a call; the message names it and what was asked."""


class RegistryAway(RegistryProblem):
    """The registry gave no answer: it may be there again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointed:
    """What the registry says about who serves, read in one call."""

    aliases: Mapping[str, int]
    """Alias → version."""
    pointer: str | None
    """The signed pointer; None before the first promotion."""


class Registry:
    """One registered model.

    Args:
        uri: MLflow tracking URI, which is the registry's too.
        model: registered model.
        spec: names of the aliases.
        remark: what was done to the store when it was opened, in one sentence; empty for nothing.
    """

    def __init__(self, uri: str, model: str, spec: RegistrySpec, *, remark: str = "") -> None:
        self.uri = uri
        self.model = model
        self.spec = spec
        self.remark = remark
        self._client: MlflowClient | None = None

    @property
    def client(self) -> MlflowClient:
        """MLflow's client, made on first use: its import takes seconds."""
        if self._client is None:
            from mlflow import MlflowClient

            self._client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        return self._client

    def pointed(self) -> Pointed | None:
        """Aliases and pointer; None where nothing was ever registered.

        Raises:
            RegistryProblem: it can't be reached.
        """
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            model = self.client.get_registered_model(self.model)
        except MlflowException as error:
            if error.error_code == NOT_THERE:
                return None
            raise self._problem("read the registered model", error) from error
        except SQLAlchemyError as error:  # of a database that is damaged, before MLflow can name it
            raise self._problem("read the registered model", error) from error
        aliases = {alias: int(version) for alias, version in (model.aliases or {}).items()}
        return Pointed(aliases=aliases, pointer=(model.tags or {}).get(POINTER_TAG))

    def version_tags(self, version: int) -> dict[str, str]:
        """Tags of a version.

        Raises:
            RegistryProblem: there is no such version, or the registry can't be reached.
        """
        with self.asked(f"read version {version}"):
            return dict(self.client.get_model_version(self.model, str(version)).tags)

    def bundle_of(self, version: int) -> str | None:
        """Digest of a version's bundle, as its tag says; None where there is no such version (any more).

        Raises:
            RegistryProblem: the registry can't be reached.
        """
        from mlflow.exceptions import MlflowException

        with self.asked(f"look for version {version}"):
            try:
                tags = self.client.get_model_version(self.model, str(version)).tags
            except MlflowException as error:
                if error.error_code == NOT_THERE:
                    return None
                raise
            return str((tags or {}).get(BUNDLE_TAG, ""))

    def set_bundle(self, version: int, digest: str) -> None:
        """Tag a version with the digest of its bundle.

        Raises:
            RegistryProblem: there is no such version, or the registry can't be reached.
        """
        with self.asked(f"tag version {version}"):
            self.client.set_model_version_tag(self.model, str(version), BUNDLE_TAG, digest)

    def experiment_bond(self, experiment: str) -> str | None:
        """`BOND_TAG` of an experiment, empty where it has none; None where there is no such experiment, or
        somebody deleted it for good.

        Raises:
            RegistryProblem: the registry can't be reached.
        """
        with self.asked(f"look for the experiment {experiment!r}"):
            found = self.client.get_experiment_by_name(experiment)
        return None if found is None else str((found.tags or {}).get(BOND_TAG, ""))

    def bind_experiment(self, experiment: str, bond: str) -> None:
        """Write `BOND_TAG` onto an experiment; one that lies in the bin stays as it is.

        Raises:
            RegistryProblem: there is no such experiment, or the registry can't be reached.
        """
        with self.asked(f"mark the experiment {experiment!r}"):
            found = self.client.get_experiment_by_name(experiment)
            if found is not None and found.lifecycle_stage == "active":
                self.client.set_experiment_tag(found.experiment_id, BOND_TAG, bond)

    def run_of(self, version: int) -> str:
        """Id of the run that a version was made by.

        Raises:
            RegistryProblem: there is no such version, or the registry can't be reached.
        """
        with self.asked(f"find the run of version {version}"):
            return self.client.get_model_version(self.model, str(version)).run_id or ""

    def versions(self) -> list[int]:
        """Every registered version, oldest first.

        Raises:
            RegistryProblem: it can't be reached.
        """
        with self.asked("list the versions"):
            found, token = [], None
            while True:
                page = self.client.search_model_versions(f"name = '{self.model}'", page_token=token)
                found += [int(one.version) for one in page]
                token = page.token
                if not token:
                    return sorted(found)

    def download_release(self, version: int, into: Path) -> Path | None:
        """Folder with the signed release manifest of a version, copied below `into`; None where it was never
        promoted.

        Raises:
            RegistryProblem: the registry can't be reached.
        """
        with self.asked(f"download the release manifest of version {version}"):
            run_id = self.client.get_model_version(self.model, str(version)).run_id or ""
            if not self.client.list_artifacts(run_id, RELEASE_PATH):
                return None
            return Path(self.client.download_artifacts(run_id, RELEASE_PATH, str(into)))

    def set_alias(self, alias: str, version: int | None) -> None:
        """Make an alias name a version, or nothing.

        Raises:
            RegistryProblem: there is no such version, or the registry can't be reached.
        """
        with self.asked(f"move the alias {alias!r} to {version}"):
            if version is None:
                self.client.delete_registered_model_alias(self.model, alias)
            else:
                self.client.set_registered_model_alias(self.model, alias, str(version))

    def set_pointer(self, pointer: str) -> None:
        """Keep the signed pointer where replicas find it.

        Raises:
            RegistryProblem: the registry can't be reached.
        """
        with self.asked("write the pointer"):
            self.client.set_registered_model_tag(self.model, POINTER_TAG, pointer)

    def forget_champion(self) -> None:
        """Remove the aliases and the signed pointer, where there are any.

        Raises:
            RegistryProblem: the registry can't be reached.
        """
        pointed = self.pointed()
        if pointed is None:
            return
        with self.asked("remove the aliases"):
            for alias in {self.spec.previous, self.spec.champion} & set(pointed.aliases):
                self.client.delete_registered_model_alias(self.model, alias)
            if pointed.pointer is not None:
                self.client.delete_registered_model_tag(self.model, POINTER_TAG)

    def log_release(self, version: int, files: list[Path]) -> None:
        """Keep the signed release manifest beside the version's artifacts.

        Raises:
            RegistryProblem: the registry can't be reached.
        """
        with self.asked(f"log the release manifest of version {version}"):
            run_id = self.client.get_model_version(self.model, str(version)).run_id
            for file in files:
                self.client.log_artifact(run_id, str(file), RELEASE_PATH)
                if file is not files[-1]:
                    fault("manifest_logged")

    def log_seen(self, run_id: str, file: Path) -> None:
        """Keep the list of the texts that a version was trained on with its run."""
        self.client.log_artifact(run_id, str(file), SEEN_PATH)

    def download_seen(self, version: int, into: Path) -> Path:
        """The list of the texts that a version was trained on, copied below `into`. Whether it is the one
        that was judged is for the caller.

        Raises:
            RegistryProblem: it is not there, or the registry can't be reached.
        """
        with self.asked(f"download the list of texts that version {version} was trained on"):
            run_id = self.client.get_model_version(self.model, str(version)).run_id or ""
            return Path(self.client.download_artifacts(run_id, f"{SEEN_PATH}/{SEEN_FILE}", str(into)))

    def download_model(self, version: int, into: Path) -> Path:
        """Folder of a version's whole MLflow model, copied below `into`.

        Raises:
            RegistryProblem: it is not there, or the registry can't be reached.
        """
        from mlflow.artifacts import download_artifacts

        with self.asked(f"download version {version}"):
            self._refuse_removed(version)
            source = self.client.get_model_version_download_uri(self.model, str(version))
            found = download_artifacts(artifact_uri=source, dst_path=str(into), tracking_uri=self.uri)
        return Path(found)

    def download_bundle(self, version: int, into: Path) -> Path:
        """Folder of a version's bundle, copied below `into`.

        Raises:
            RegistryProblem: it is not there, or the registry can't be reached.
        """
        bundles = [
            found.parent for found in self.download_model(version, into).glob("artifacts/*/manifest.json")
        ]
        if len(bundles) != 1:
            raise RegistryProblem(
                f"registry {self.uri}: version {version} of {self.model!r} holds {len(bundles)} bundles"
            )
        return bundles[0]

    def download(self, version: int, into: Path) -> tuple[Path, Path]:
        """Folders of a version's bundle and of its signed release manifest, copied below `into`.

        Raises:
            RegistryProblem: one of them is not there, or the registry can't be reached.
        """
        from mlflow.artifacts import download_artifacts

        with self.asked(f"download version {version}"):
            about = self._refuse_removed(version)
            source = self.client.get_model_version_download_uri(self.model, str(version))
            artifacts = download_artifacts(
                artifact_uri=f"{source}/artifacts", dst_path=str(into), tracking_uri=self.uri
            )
            release = self.client.download_artifacts(about.run_id or "", RELEASE_PATH, str(into))
        bundles = [manifest.parent for manifest in Path(artifacts).glob("*/manifest.json")]
        if len(bundles) != 1:
            raise RegistryProblem(
                f"registry {self.uri}: version {version} of {self.model!r} holds {len(bundles)} bundles"
            )
        return bundles[0], Path(release)

    def _refuse_removed(self, version: int) -> Any:
        """MLflow's record of a version.

        Raises:
            RegistryProblem: its files were removed.
        """
        about = self.client.get_model_version(self.model, str(version))
        if why := (about.tags or {}).get(FILES_TAG):
            raise RegistryProblem(
                f"registry {self.uri}: the model files of version {version} of {self.model!r} were removed: "
                f"{why}. Its record stays; run `headgate retrain CONFIG` for a new version"
            )
        return about

    @contextlib.contextmanager
    def asked(self, what: str) -> Iterator[None]:
        """Turn what MLflow raises while it is asked to `what` into a `RegistryProblem`."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise self._problem(what, error) from error

    def _problem(self, what: str, error: Any) -> RegistryProblem:
        advice = "check that it runs and that `registry.tracking_uri` is right"
        if getattr(error, "error_code", "") == NOT_THERE:
            advice = (
                "it was deleted there, or belongs to another registry. What serves is in the release folder: "
                "see `headgate status`"
            )
        away = not self.uri.startswith("sqlite:") and _no_answer(error)  # a file does not come back
        kind = RegistryAway if away else RegistryProblem
        return kind(
            f"registry {self.uri}, model {self.model!r}: could not {what}: {masked(str(error))[:300]}; "
            f"{advice}"
        )


def _no_answer(error: BaseException | None) -> bool:
    """Whether an error, or what it came of, says that nobody answered or that who did can't answer now."""
    from mlflow.exceptions import RestException

    while error is not None:
        if SILENT & {kind.__name__ for kind in type(error).__mro__} or _LATER.search(str(error)):
            return True
        asked: Any = error  # MLflow's method has no types
        status = asked.get_http_status_code() if isinstance(error, RestException) else 0
        if status in LATER:
            return True
        error = error.__cause__ or error.__context__
    return False


def open_registry(home: Home, name: str, spec: RegistrySpec) -> Registry:
    """The registry of project `name`; a local store is made if need be, and names its artifacts where they
    lie.

    Raises:
        release.registry.store.StoreProblem: the local store can't be where it is wanted.
        OSError: it can't be made.
    """
    uri = tracking_uri(home, spec.tracking_uri)
    return Registry(uri, spec.model or name, spec, remark=relocated(home, spec.tracking_uri))
