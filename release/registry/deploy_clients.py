"""Clients of `mlflow.deployments` plugins, by the name of the target."""

from __future__ import annotations

from typing import Any

from model.bundle.masking import masked
from model.errors import HeadgateError
from serving.spec import ENDPOINT

OWN_PLUGIN = "headgate"
"""Name under which Headgate's endpoint is such a plugin (`release.registry.deployments_plugin`)."""


class TargetUnknown(HeadgateError):
    """`deploy.target` names no plugin that is installed; nothing was changed."""

    kind = "usage"


def deploy_client(target: str) -> Any:
    """The plugin's client.

    Raises:
        TargetUnknown: no plugin of this name is installed, or it can't be loaded.
    """
    if target.partition(":")[0] == OWN_PLUGIN:
        raise TargetUnknown(
            f"deploy.target: {target!r} is Headgate's own endpoint; write {ENDPOINT!r} "
            "(the plugin is for MLflow's clients)"
        )
    from mlflow.deployments import get_deploy_client
    from mlflow.exceptions import MlflowException

    try:
        return get_deploy_client(target)  # type: ignore[no-untyped-call]
    except (MlflowException, RuntimeError) as error:
        raise TargetUnknown(
            f"deploy.target: {target!r} is neither {ENDPOINT!r} nor an installed mlflow.deployments plugin "
            f"({masked(str(error))[:200]})"
        ) from error
