"""What `headgate up` runs: a Prefect server, a worker, the projects' endpoints, MLflow's page.

Commands and variables only. Does not start anything.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.config.settings import options_of_process
from flows.schedule.record import POOL
from flows.up.group import Part
from model.bundle.telemetry import SWITCHES
from release.home import Home, environment
from release.registry.store import STORE_FILE, local_store
from release.saved_settings import SettingsBroken, load_settings, state_file
from serving import client
from serving.errors import EndpointError, NoAnswer
from serving.process.control import status
from serving.spec import ENDPOINT
from serving.store.release_folder import ReleaseFolder

SERVER, WORKER, SCHEDULE, MLFLOW = "server", "worker", "schedule", "mlflow"
"""Names of parts; the endpoints' are made of their projects'."""
LOOPBACK = "127.0.0.1"
ANSWER_S = 2.0
"""Longest wait for an answer to whether something is there, in seconds."""
DOWN_S = 3.0
"""How long an endpoint must be down before it is started: a deployment stops and starts it in a moment."""
ASK_S = 5.0
"""How often is looked whether an endpoint runs, in seconds."""

PLACES = {
    # Which run holds which place outlives the server. Kept in its memory, a place that a run held when the
    # machine went down would be taken for ever, and no run of that deployment would start again.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
}
"""Where a Prefect server keeps who holds the place of a deployment."""
SELDOM = {
    # How often a server looks for late, paused, cancelled and new runs, in seconds (PT60S: 60). By default
    # every 5 to 20: most of what a machine does that waits for the next night.
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "30",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_LOOP_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "30",
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "30",
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT60S",
}
"""What a server that is started here does less often than by default."""
OF_PAGE = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Of MLflow's page: it is looked at, and needs no further processes that run jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectAt:
    """A project that is looked after."""

    name: str
    config: Path
    """Its configuration."""
    home: Home
    """Its state folder."""
    tracking_uri: str | None
    """Its registry, as configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to run."""

    projects: Sequence[ProjectAt]
    home: Home
    """State folder of the group: of the first project."""
    given_home: Path | None
    """`--home`, if it was given."""
    server: str | None
    """Address of a Prefect server that runs elsewhere; None: one is started."""
    port: int
    """Port of the server that is started."""
    mlflow_port: int | None = None
    """Port of MLflow's page; None: none is started."""

    @property
    def api(self) -> str:
        """Address of the Prefect server."""
        return self.server or f"http://{LOOPBACK}:{self.port}/api"


def parts(wanted: Wanted) -> list[Part]:
    """Everything that is to run, in the order in which it is started."""
    prefect, headgate = [sys.executable, "-m", "prefect"], [sys.executable, "-m", "flows.cli.commands"]
    logs = wanted.home.logs

    def one(name: str, command: Sequence[str], log: str, **more: Any) -> Part:
        known = {"environment": child_environment(wanted), **more}
        return Part(name=name, command=command, log=logs / log, **known)

    def answers() -> bool:
        return server_answers(wanted.api)

    where = [] if wanted.given_home is None else ["--home", str(wanted.given_home.resolve())]
    configs = [str(project.config) for project in wanted.projects]
    found = []
    if wanted.server is None:
        quiet = [sys.executable, "-m", "flows.up.quiet_server"]
        serve = [*quiet, "server", "start", "--host", LOOPBACK, "--port", str(wanted.port)]
        given = {**PLACES, **SELDOM, **child_environment(wanted)}  # what the user has set goes before
        found.append(one(SERVER, serve, "prefect-server.log", environment=given, renewed=True))
    options = [part for option in options_of_process() for part in ("--set", option)]
    schedule = [*headgate, "schedule", *configs, *where, *options]
    found.append(one(SCHEDULE, schedule, "schedule.log", may_start=answers, ends=True, once=True))
    work = [*prefect, "worker", "start", "--pool", POOL, "--type", "process"]
    found.append(one(WORKER, work, "prefect-worker.log", may_start=answers, renewed=True))
    for project in wanted.projects:
        serve = [*headgate, "serve", project.name, "--home", str(project.home.root)]
        log = f"serve-{project.name}.log"
        found.append(one(f"start of {project.name}", serve, log, ends=True, wanted=_Down(project).look))
    if wanted.mlflow_port is not None:
        given = {**OF_PAGE, **child_environment(wanted)}
        found.append(one(MLFLOW, _page(wanted), "mlflow.log", environment=given))
    return found


def child_environment(wanted: Wanted) -> dict[str, str]:
    """Variables of everything that is started: state in the state folder, telemetry off, this server."""
    given = {} if wanted.server is None else {"PREFECT_API_URL": wanted.server}
    beside = str(Path(sys.executable).parent)  # MLflow calls uvicorn by its name
    variables = {
        **os.environ,
        **environment(wanted.home, given=given),
        **SWITCHES,
        "PREFECT_API_URL": wanted.api,
        "PATH": os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",  # so that logs say what happened before a kill
    }
    variables.pop("HEADGATE_CONSOLE", None)
    return variables


def server_answers(api: str) -> bool:
    """Whether a Prefect server answers; one behind TLS is taken to: whoever asks it waits for it."""
    if api.startswith("https:"):
        return True
    try:
        return client.request(api, "GET", "/health", timeout_s=ANSWER_S)[0] == 200
    except NoAnswer:
        return False


def released(project: ProjectAt) -> bool:
    """Whether there is something that an endpoint here is to serve."""
    try:
        target = load_settings(project.home, project.name).deploy.target
    except SettingsBroken:
        return False
    folder = ReleaseFolder(project.home.root / "releases" / project.name, project.name)
    return target == ENDPOINT and folder.pointer_path.exists()


def endpoint_runs(project: ProjectAt) -> bool:
    """Whether its endpoint runs; one that can't be known of is left alone."""
    try:
        return status(state_file(project.home, project.name)) is not None
    except (EndpointError, OSError):
        return True


class _Down:
    """Whether an endpoint is down for so long that nobody is about to start it.

    Args:
        project: whose endpoint.
    """

    def __init__(self, project: ProjectAt) -> None:
        self._project = project
        self._asked = -ASK_S
        self._since: float | None = None

    def look(self) -> bool:
        """Asks every `ASK_S` seconds, and more often while it is down."""
        now = time.monotonic()
        if self._since is None and now - self._asked < ASK_S:
            return False
        self._asked = now
        if not released(self._project) or endpoint_runs(self._project):
            self._since = None
            return False
        self._since = now if self._since is None else self._since
        return now - self._since >= DOWN_S


def _page(wanted: Wanted) -> list[str]:
    """MLflow's page of the first project whose registry is a file."""
    stores = (local_store(project.home, project.tracking_uri) for project in wanted.projects)
    store = next((store for store in stores if store is not None), wanted.home.mlflow / STORE_FILE)
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(wanted.mlflow_port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{store}"),
    ]
