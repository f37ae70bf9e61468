"""Headgate's endpoint for MLflow's deployment clients: `mlflow.deployments.get_deploy_client("headgate")`.

    mlflow deployments update -t headgate:/srv/.headgate --name quickstart -m models:/quickstart/7

Whatever is asked for goes the way of `headgate promote` and `headgate rollback`: a version that did not pass,
or whose record or bytes were changed, is refused, and a version that does not answer as judged goes back.
Overrides are for the command line, where a person gives a reason. A deployment is a project whose endpoint
runs; the state folder is the target's path, else `HEADGATE_HOME`, else `.headgate` here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST

from model.bundle.masking import masked
from model.errors import foreseen
from release.home import Home
from release.moves.promote_by_hand import promote_by_hand
from release.moves.rollback import roll_back
from release.releases import open_releases
from release.saved_settings import Settings, load_settings, save_settings, state_file
from release.targets.deploy import DeployOutcome, deploy_version
from serving import client
from serving.process import control as process
from serving.spec import ENDPOINT, DeploySpec

_HELP = """Headgate's endpoint. Target: `headgate` or `headgate:/path/to/state/folder`.
A deployment's name is its project's. Model: `models:/NAME/VERSION` or `models:/NAME@ALIAS`, and only what
passed its gates is deployed. Config: settings of the section `deploy`, such as port, threads, workers."""


def target_help() -> str:
    """What `mlflow deployments help -t headgate` prints."""
    return _HELP


def run_local(
    target: str, name: str, model_uri: str, flavor: str | None = None, config: dict[str, Any] | None = None
) -> None:
    """What `mlflow deployments run-local -t headgate` does: the endpoint is local anyway."""
    HeadgateDeployments(target).create_deployment(name, model_uri, flavor, config)


class HeadgateDeployments(BaseDeploymentClient):
    """Deployments of this project's endpoint. Every refusal is an `MlflowException` with its reasons."""

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri=target_uri)  # type: ignore[no-untyped-call]
        path = urlsplit(target_uri).path if ":" in target_uri else ""
        self._home = Home(Path(path or os.environ.get("HEADGATE_HOME") or ".headgate").resolve())

    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Deploy a version of project `name` whose endpoint does not run."""
        if process.status(state_file(self._home, name)) is not None:
            raise MlflowException(f"{name!r} is deployed; update it instead", INVALID_PARAMETER_VALUE)
        return self._deploy(name, model_uri, config)

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Swap to another version, or serve the same one with other settings."""
        self._running(name)
        return self._deploy(name, model_uri, config)

    def delete_deployment(
        self, name: str, config: Mapping[str, Any] | None = None, endpoint: str | None = None
    ) -> None:
        """Stop the endpoint after it has answered what it accepted; deleting twice is no error. What was
        promoted stays promoted."""
        with _as_mlflow_errors():
            process.stop(state_file(self._home, name))

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """The projects whose endpoint runs."""
        names = sorted(file.stem for file in self._home.endpoints.glob("*.json"))
        return [
            self.get_deployment(name)
            for name in names
            if process.status(state_file(self._home, name)) is not None
        ]

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """Address, version and what stands behind it (`GET /version`)."""
        running = self._running(name)
        with _as_mlflow_errors():
            token = client.read_token(load_settings(self._home, name).deploy.token_file)
            status, about = client.get(running.url, "/version", token=token)
        return {"name": name, "flavor": "python_function", "url": running.url, "status": status, **about}

    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Answers of the endpoint, one mapping head → labels a text.

        Args:
            deployment_name: the project.
            inputs: a table with the column `text`, a text, a list of texts, or a body of `POST /invocations`.
            endpoint: not used.
        """
        running = self._running(deployment_name or "")
        if hasattr(inputs, "to_dict"):
            inputs = {"dataframe_split": inputs.to_dict("split")}
        body = inputs if isinstance(inputs, Mapping) else {"inputs": inputs}
        with _as_mlflow_errors():
            token = client.read_token(load_settings(self._home, running.name).deploy.token_file)
            status, _, reply = client.request(running.url, "POST", "/invocations", body, token, 30.0)
        if status != 200:
            raise MlflowException(f"status {status}: {masked(reply.decode(errors='replace'))[:300]}")
        answered: PredictionsResponse = PredictionsResponse.from_json(reply)  # type: ignore[no-untyped-call]
        return answered

    def _running(self, name: str) -> process.EndpointState:
        running = process.status(state_file(self._home, name))
        if running is None:
            raise MlflowException(f"{name!r} is not deployed", RESOURCE_DOES_NOT_EXIST)
        return running

    def _deploy(self, name: str, model_uri: str | None, config: Mapping[str, Any] | None) -> dict[str, Any]:
        with _as_mlflow_errors():
            settings = load_settings(self._home, name)
            spec = dataclasses.replace(settings.deploy, **_settings(config or {}), target=ENDPOINT)
            releases = open_releases(self._home, name, settings.registry)
            version = self._version(name, model_uri)
            save_settings(self._home, name, Settings(registry=settings.registry, deploy=spec))
            if version == releases.serving():
                done = deploy_version(self._home, name, settings.registry, spec, version)
            elif version in releases.served():
                done = roll_back(self._home, name, version)
                if done.deployed:
                    done = deploy_version(self._home, name, settings.registry, spec, version)
            else:
                done = promote_by_hand(self._home, name, version).outcome
        return _deployed(name, done)

    def _version(self, name: str, model_uri: str | None) -> int:
        releases = open_releases(self._home, name, load_settings(self._home, name).registry)
        if model_uri is None:
            serving = releases.serving()
            if serving is None:
                raise MlflowException(f"{name!r}: nothing was promoted yet", RESOURCE_DOES_NOT_EXIST)
            return serving
        found = re.fullmatch(r"models:/([^/@]+)(?:/([0-9]+)|@([^/@]+))", model_uri)
        if found is None or found[1] != releases.registry.model:
            raise MlflowException(
                f"{model_uri!r}: expected models:/{releases.registry.model}/VERSION or …@ALIAS",
                INVALID_PARAMETER_VALUE,
            )
        if found[2] is not None:
            return int(found[2])
        pointed = releases.registry.pointed()
        if pointed is None or found[3] not in pointed.aliases:
            raise MlflowException(f"{model_uri!r}: there is no such alias", RESOURCE_DOES_NOT_EXIST)
        return pointed.aliases[found[3]]


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the section `deploy` from a plugin's config, whose values may be texts."""
    defaults = {field.name: field.default for field in dataclasses.fields(DeploySpec)}
    found = {}
    for key, value in config.items():
        default = defaults.get(key)
        if key in ("target", "target_config", "verify_target") or key not in defaults:
            raise MlflowException(f"config: unknown field {key!r}", INVALID_PARAMETER_VALUE)
        try:
            kind: Any = type(default)
            found[key] = value if default is None else kind(value)
        except (TypeError, ValueError) as error:
            raise MlflowException(f"config: {key}: seen {value!r}", INVALID_PARAMETER_VALUE) from error
    return found


def _deployed(name: str, done: DeployOutcome) -> dict[str, Any]:
    if not done.deployed:
        raise MlflowException(f"{name}: {done.reason}; version {done.serving or 'none'} serves")
    return {"name": name, "flavor": "python_function", "version": done.serving, "url": done.url}


@contextlib.contextmanager
def _as_mlflow_errors() -> Iterator[None]:
    """Turn foreseen errors into the exception that MLflow's clients know."""
    try:
        yield
    except MlflowException:
        raise
    except Exception as error:
        if foreseen(error) is None:
            raise
        raise MlflowException(masked(str(error)), INVALID_PARAMETER_VALUE) from error
