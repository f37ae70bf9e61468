"""Where a run writes, registers and serves: state folder, registry, port."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from flows.check.finding import Finding
from flows.config.schema import Project
from model.bundle.masking import masked
from model.errors import HeadgateError
from release.home import Home
from release.home_needs import refuse_unusable
from release.targets.deploy import refuse_impossible
from serving.process.traces import traces_problem

ANSWER_S = 2.0
"""How long a registry may take to accept a connection, in seconds."""
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Scheme of a registry's address → its usual port."""


def look_at_home(folder: Path) -> Finding:
    """The state folder; one that is not there is not made."""
    if folder.is_dir():
        try:
            refuse_unusable(Home(folder))
        except HeadgateError as error:
            return Finding(what="state folder", says=str(error), state="problem")
        return Finding(what="state folder", says=str(folder))
    above = next(parent for parent in folder.parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        says = (
            f"state folder {folder}: it can't be made, because {above} can't be written; choose another with "
            "--home FOLDER or HEADGATE_HOME"
        )
        return Finding(what="state folder", says=says, state="problem")
    return Finding(what="state folder", says=f"{folder} (will be made)")


def look_at_port(project: Project, folder: Path) -> Finding:
    """Where the model would serve."""
    spec = project.deploy
    try:
        refuse_impossible(Home(folder), project.name, spec)
    except HeadgateError as error:
        return Finding(what="deploy", says=str(error), state="problem")
    if (problem := traces_problem(spec)) is not None:
        return Finding(what="deploy", says=f"deploy.{problem}", state="problem")
    return Finding(
        what="deploy", says=f"{spec.host}:{spec.port}" if spec.target == "endpoint" else spec.target
    )


def look_at_registry(project: Project) -> Iterator[Finding]:
    """Whether a registry elsewhere accepts a connection; a local one is made when it is needed."""
    address = project.registry.tracking_uri
    if address is None:
        yield Finding(what="registry", says="MLflow's store in the state folder")
        return
    parts = urlsplit(address)
    scheme = parts.scheme.partition("+")[0]
    if scheme not in _PORTS or not parts.hostname:
        yield Finding(what="registry", says=masked(address))
        return
    try:
        port = parts.port or _PORTS[scheme]
        with socket.create_connection((parts.hostname, port), timeout=ANSWER_S):
            pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        says = (
            f"registry.tracking_uri: {masked(address)} can't be reached ({why}); start it, correct the "
            "address, or leave it out for a store in the state folder"
        )
        yield Finding(what="registry", says=says, state="problem", kind="other")
        return
    yield Finding(what="registry", says=f"{masked(address)} accepts connections")
