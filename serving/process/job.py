"""The job file of an endpoint's process: what it serves and how, as JSON.

Written by whoever starts the process, read by the process and its workers. Does not start anything.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from model.files import write_bytes
from model.spec import SCHEMA_CONFIG
from serving.errors import WrongUsage
from serving.spec import DeploySpec

OF_THE_DEPLOYMENT = (
    *("target", "target_config", "verify_target", "keep_versions"),
    *("start_timeout_s", "wait_poll_s", "bake"),
)
"""Fields of `DeploySpec` that the process does not read: a change of them needs no new process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointJob:
    """What one endpoint serves, and how."""

    __pydantic_config__ = SCHEMA_CONFIG

    releases: Path
    """Release folder of one model."""
    public_key: Path
    """PEM file of the key that releases must be signed with."""
    state_file: Path
    """Where the endpoint writes its process id and port once it listens."""
    name: str | None = None
    """Registered model; None: the name of the release folder."""
    deploy: DeploySpec = dataclasses.field(default_factory=DeploySpec)
    """Address, limits and time-outs. Fields that only a deployment reads have no effect."""


def endpoint_job(releases: Path, public_key: Path, spec: DeploySpec, state_file: Path) -> EndpointJob:
    """The job of an endpoint, with absolute paths; equal for equal endpoints."""
    token_file = None if spec.token_file is None else str(Path(spec.token_file).expanduser().resolve())
    defaults = {name: getattr(DeploySpec(), name) for name in OF_THE_DEPLOYMENT}
    return EndpointJob(
        releases=releases.resolve(),
        public_key=public_key.resolve(),
        state_file=state_file.resolve(),
        deploy=dataclasses.replace(spec, token_file=token_file, **defaults),
    )


def job_file(state_file: Path) -> Path:
    """Where the job of the endpoint with this state file lies. Its name shows in the list of processes."""
    return state_file.with_suffix(".job")


def write_job(path: Path, job: EndpointJob) -> None:
    """Replace the job file.

    Raises:
        OSError: it can't be written.
    """
    write_bytes(path, _format().dump_json(job, indent=1))


def read_job(path: Path) -> EndpointJob:
    """The job in a file.

    Raises:
        WrongUsage: it can't be read, is not JSON, or a field is unknown, missing or out of bounds.
    """
    try:
        return _format().validate_json(path.read_bytes())
    except OSError as error:
        raise WrongUsage(f"job file {path}: can't be read ({error.strerror})") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'content'}: {one['msg']}, seen {str(one['input'])[:40]}"
            for one in error.errors()
        )
        raise WrongUsage(f"job file {path}: {problems}") from error


def running_spec(state_file: Path) -> DeploySpec:
    """How the endpoint of a state file was started last; the defaults where no file holds it."""
    try:
        return read_job(job_file(state_file)).deploy
    except WrongUsage:
        return DeploySpec()


@functools.cache
def _format() -> TypeAdapter[EndpointJob]:
    return TypeAdapter(EndpointJob)
