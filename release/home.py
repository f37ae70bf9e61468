"""The folder that holds all state of a project, and the variables that make libraries keep theirs there.

Knows names of folders; does not know what is in them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model.bundle.telemetry import SWITCHES

HOME_MODE = 0o700
"""Only the owner may look in: the folder holds texts, the signing key and the registry."""
PROFILE = frozenset({"PREFECT_PROFILE", "PREFECT_PROFILES_PATH", "PREFECT_SERVER_EPHEMERAL_ENABLED"})
"""Variables that decide which profile Prefect reads, and what stands in the one that it brings along."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything is kept. A folder is made, with mode 0700, when it is first asked for."""

    root: Path
    """The folder itself, usually `.headgate` next to the configuration."""

    @property
    def mlflow(self) -> Path:
        """MLflow's store and artifacts (`release.registry.store`)."""
        return self._folder("mlflow")

    @property
    def data(self) -> Path:
        """Merged datasets, one folder a fingerprint."""
        return self._folder("data")

    @property
    def cache(self) -> Path:
        """What can be made again: baselines by content, tokenised rows, libraries' caches."""
        return self._folder("cache")

    @property
    def runs(self) -> Path:
        """What each run left behind, one folder a run."""
        return self._folder("runs")

    @property
    def judged(self) -> Path:
        """What came of inputs, one signed record a set of inputs (`release.runs.judged`)."""
        return self._folder("judged")

    @property
    def reports(self) -> Path:
        """HTML pages, one folder a run."""
        return self._folder("reports")

    @property
    def keys(self) -> Path:
        """The key pair that releases are signed with."""
        return self._folder("keys")

    @property
    def endpoints(self) -> Path:
        """State files of endpoints, one a name."""
        return self._folder("endpoints")

    @property
    def journal(self) -> Path:
        """What was promoted and rolled back, one append-only file a name (`release.journal`)."""
        return self._folder("journal")

    @property
    def logs(self) -> Path:
        """Logs of processes: trainings, endpoints, followers."""
        return self._folder("logs")

    @property
    def locks(self) -> Path:
        """Empty files that are locked while something is changed."""
        return self._folder("locks")

    @property
    def projects(self) -> Path:
        """How each project was deployed last, for commands without a configuration."""
        return self._folder("projects")

    @property
    def followers(self) -> Path:
        """What each follower saw last, one file a name (`release.targets.follower`)."""
        return self._folder("followers")

    @property
    def bakes(self) -> Path:
        """Versions that are being watched, one file a project (`release.bake`)."""
        return self._folder("bakes")

    @property
    def schedules(self) -> Path:
        """When each project runs, and of which drift it was told, by name (`flows.schedule`)."""
        return self._folder("schedules")

    @property
    def endings(self) -> Path:
        """How the last runs of each project ended, one file a name (`flows.schedule.endings`)."""
        return self._folder("endings")

    @property
    def notices(self) -> Path:
        """Who is told of what, and what was told, one file a project (`flows.notify`)."""
        return self._folder("notices")

    @property
    def prefect(self) -> Path:
        """Prefect's database and results."""
        return self._folder("prefect")

    def releases(self, name: str) -> Path:
        """Release folder of one name. Not made here: it exists only where something was released."""
        return self._folder("releases") / name

    def release_lock(self, name: str) -> Path:
        """The lock that is held while pointer, aliases and journal of `name` are moved."""
        return self.locks / f"{name}.release.lock"

    def run_lock(self, name: str) -> Path:
        """The lock that a retraining of `name` holds from its start to its end (`release.runs.alone`)."""
        return self.locks / f"{name}.run.lock"

    def bake_lock(self, name: str) -> Path:
        """The lock that whoever watches a version of `name` holds (`release.bake`)."""
        return self.locks / f"{name}.bake.lock"

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        if not folder.is_dir():
            self.root.mkdir(mode=HOME_MODE, parents=True, exist_ok=True)
            folder.mkdir(mode=HOME_MODE, exist_ok=True)
        return folder


def environment(home: Home, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables that keep every library's state under `home` and its telemetry off.

    Makes nothing and sets nothing: whoever runs a command applies them. What is downloaded from the
    hub stays in the user's own cache, where other projects find it and where the user's token is.

    Args:
        home: the state folder.
        given: the variables that are set already; by default those of this process. With
            `PREFECT_API_URL` there is a server, and its own home and the user's profile hold; without it no
            profile does, not even one that `prefect server start` left in `home`.
    """
    given = os.environ if given is None else given
    root = home.root.resolve()
    variables = {
        **SWITCHES,
        # A folder or file of the user's that is called `tasks` or `model` must not take our packages' place.
        "PYTHONSAFEPATH": "1",
        # The lines of `report.progress` belong to the run's log.
        "PREFECT_LOGGING_EXTRA_LOGGERS": "headgate",
        # The ephemeral server takes 7–16 s to start on two cores; Prefect's default of 20 s is too near.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
        "PREFECT_LOCAL_STORAGE_PATH": str(root / "prefect" / "storage"),
        # With MLflow's defaults (7 retries of 120 s) a registry that is down blocks a look-up for minutes.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "GIT_PYTHON_REFRESH": "quiet",
        "MPLCONFIGDIR": str(root / "cache" / "matplotlib"),
        "HF_DATASETS_CACHE": str(root / "cache" / "datasets"),
        "TOKENIZERS_PARALLELISM": "false",
        # Of a cluster that baselines are fitted on (`runner.kind`).
        "DASK_TEMPORARY_DIRECTORY": str(root / "cache" / "dask"),
        "DASK_LOGGING__DISTRIBUTED": "warning",
    }
    if not given.get("PREFECT_API_URL"):
        variables["PREFECT_HOME"] = str(root / "prefect")
        # Prefect's own profile, whatever a file or a variable says; the path names none.
        variables["PREFECT_PROFILE"] = "ephemeral"
        variables["PREFECT_PROFILES_PATH"] = str(root / "prefect" / "no-profiles")
        variables["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "true"
    return variables
