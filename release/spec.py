"""Where models are registered: the `registry` section of the YAML schema (stdlib only).

Does not know how the registry is reached (`release.registry.store`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from model.spec import SCHEMA_CONFIG, Range

CREDENTIALS = (
    "give user and password in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or a token in "
    "MLFLOW_TRACKING_TOKEN; of a database in its driver's own variable or file, such as PGPASSWORD"
)
"""Where the registry's credentials come from, as advice: never from its address, which is shown and kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySpec:
    """Which MLflow registry, under which names, and signed with which key."""

    __pydantic_config__ = SCHEMA_CONFIG

    tracking_uri: str | None = None
    """MLflow tracking URI, such as `http://mlflow.example:5000`, without user or password: those are read
    from `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, or `MLFLOW_TRACKING_TOKEN`. None: what
    `MLFLOW_TRACKING_URI` says, else SQLite under the state folder, so that nothing has to run first."""
    model: str | None = None
    """Registered model. None: the project's name."""
    experiment: str | None = None
    """MLflow experiment that runs are logged to. None: what `MLFLOW_EXPERIMENT_NAME` says, else the project's
    name."""
    champion: str = "champion"
    """Alias of the version that serves. It names what the signed pointer of the release folder names; moving
    it by hand changes nothing that serves."""
    previous: str = "previous"
    """Alias of the version that served before."""
    wait_s: Annotated[float, Range(ge=0)] = 900.0
    """How long a registry that is away is waited for, in seconds: at the start of a run, and when a candidate
    is registered. What was trained, measured and judged is kept in any case: the next run goes on from
    there."""
    log_mistakes: bool = False
    """Whether MLflow keeps a table of the test texts that the shared model answers wrongly, up to 500 a head.
    Whoever may read the registry then reads these texts."""
    signing_keys: str | None = None
    """Folder of the key pair that versions are signed with (`release.key`, mode 0600, and `release.pub`),
    made on first use. None: `keys` in the state folder, where a relative path starts, too. Another folder
    is another signer: what was signed with the former key is no longer trusted."""
