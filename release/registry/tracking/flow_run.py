"""The MLflow run of a flow: opened when the flow begins, ended with what became of it.

With a registry that is away the flow goes on without a run, and registering makes one. Does not know what is
logged to the run.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.files import read_json, write_json
from release.home import Home
from release.registry.client import RegistryProblem, open_registry
from release.registry.run import experiment_id, process_tags
from release.spec import RegistrySpec

if TYPE_CHECKING:
    from mlflow import MlflowClient

FLOW_TAG = "headgate.flow"
"""Tag of a run: the flow that it is of."""
TRACKED_FILE = "mlflow.json"
"""In a run's folder: which MLflow run it belongs to. Trainings read it, also those on another machine."""
UNTIL_ENDED = "running"
"""Last word of a run's name until it is known what became of it."""
GIT_S = 3.0
"""Longest wait for git, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """The MLflow run of a flow."""

    uri: str
    """Of the registry."""
    experiment: str
    """Id of the experiment."""
    run: str
    """Id of the run."""
    began_s: float
    """When the flow began, in seconds since 1970."""

    @property
    def client(self) -> MlflowClient:
        """A client of its registry."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)


def run_title(began_s: float, word: str) -> str:
    """Name of a run as a person reads it: `2026-11-29 03:00 · inconclusive`, in UTC."""
    return f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime(began_s))} · {word}"


def open_flow_run(home: Home, name: str, spec: RegistrySpec, *, flow: str, config: Path) -> Tracked:
    """Open the run of a flow of project `name`.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    registry, began_s = open_registry(home, name, spec), time.time()
    with registry.asked("open a run"):
        experiment = experiment_id(registry, home, spec.experiment or name, spec)
        made = registry.client.create_run(
            experiment,
            start_time=int(began_s * 1000),
            run_name=run_title(began_s, UNTIL_ENDED),
            tags={FLOW_TAG: flow, **process_tags(), **origin_tags(config)},
        )
    return Tracked(uri=registry.uri, experiment=experiment, run=made.info.run_id, began_s=began_s)


def origin_tags(config: Path) -> dict[str, str]:
    """Where a run comes from, in MLflow's own tags: source, user, and git commit where there is one."""
    tags = {"mlflow.source.name": str(config), "mlflow.source.type": "LOCAL"}
    with contextlib.suppress(OSError, KeyError):
        tags["mlflow.user"] = getpass.getuser()
    if commit := _commit(config.absolute().parent):
        tags["mlflow.source.git.commit"] = commit
    return tags


def end_flow_run(
    tracked: Tracked, word: str, *, failed: bool = False, killed: bool = False, why: str = ""
) -> bool:
    """End a run with the word that says what became of the flow; whether the registry took it.

    One that does not is closed by the next start (`release.registry.run.close_abandoned_runs`).

    Args:
        failed: the flow ended in an error.
        killed: it was stopped from outside.
        why: first sentence of the run's description where nothing else describes it.
    """
    from mlflow.exceptions import MlflowException

    status = "KILLED" if killed else "FAILED" if failed else "FINISHED"
    try:
        client = tracked.client
        if why and "mlflow.note.content" not in client.get_run(tracked.run).data.tags:
            client.set_tag(tracked.run, "mlflow.note.content", why)
        client.update_run(tracked.run, name=run_title(tracked.began_s, word))
        client.set_terminated(tracked.run, status)
    except (MlflowException, OSError):
        return False
    return True


def rename_run(client: Any, run_id: str, word: str) -> None:
    """Let the name of a run that ended say what became of it since."""
    run = client.get_run(run_id)
    client.update_run(run_id, name=run_title(run.info.start_time / 1000, word))


def note_tracked(tracked: Tracked | None, folder: Path) -> None:
    """Keep in a run's folder which MLflow run it belongs to."""
    if tracked is not None:
        write_json(folder / TRACKED_FILE, asdict(tracked))


def tracked_of(folder: Path) -> Tracked | None:
    """The MLflow run that a run's folder belongs to; None where none was opened."""
    try:
        raw: Mapping[str, Any] = read_json(folder / TRACKED_FILE)
        return Tracked(**raw)
    except (OSError, ValueError, TypeError):
        return None


def open_or_none(home: Home, name: str, spec: RegistrySpec, *, flow: str, config: Path) -> Tracked | None:
    """As `open_flow_run`; None where the registry can't be reached now."""
    try:
        return open_flow_run(home, name, spec, flow=flow, config=config)
    except RegistryProblem:
        return None


def _commit(folder: Path) -> str:
    """Commit that the folder's checkout is at; empty where it is none."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=GIT_S,
            check=False,
            env={"PATH": os.environ.get("PATH", ""), "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
