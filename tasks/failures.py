"""Which errors are foreseen: told in their own words, without a traceback.

Knows the exception trees of the layers below; does not know exit codes.
"""

from __future__ import annotations

from typing import Literal

Failure = Literal["usage", "data", "other"]


def foreseen(error: object) -> Failure | None:
    """`usage`: the configuration or what it names must be mended. `data`: a source must be. `other`: a
    process, the registry, the endpoint or the disk failed and said why. None: not foreseen."""
    from expectations.tables import DatasetError
    from model.errors import ModelError
    from serving.manifest import ReleaseRefused
    from serving.process import EndpointError
    from sources.errors import DataError
    from tasks.model_process import ModelProcessError
    from tasks.registry import RegistryProblem

    if isinstance(error, ModelError):
        return "usage"
    if isinstance(error, DataError | DatasetError):
        return "data"
    if isinstance(error, ModelProcessError | RegistryProblem | EndpointError | ReleaseRefused | OSError):
        return "other"
    return None
