"""Where baselines are fitted: on threads of this process, on a Dask or on a Ray cluster.

Knows Prefect's task runners; the libraries of a cluster are extras and are imported when one starts. Does not
know what is fitted.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

LOOPBACK = "127.0.0.1"

LONGEST_STEP_S = 86_400.0
"""Longest time of a step where nothing else is said, in seconds: a day."""

EXTRAS = {"dask": "prefect_dask", "ray": "prefect_ray"}
"""Kind of a cluster, which is also the name of the extra, and the module that comes with it."""

OBJECT_STORE_BYTES = 100 * 2**20
"""Shared memory of a local Ray cluster. References of a few hundred bytes pass; Ray's default is a third of
the machine's memory."""


class RunnerSpec(BaseModel):
    """What runs the trainings of baselines, here or on a cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    kind: Literal["threads", "dask", "ray"] = "threads"
    """`threads`: each training is a process that a thread here waits for. `dask`, `ray`: a cluster of
    `side_by_side` workers is started on this machine and ends when the baselines are fitted; or the one at
    `address` is used. They need the extra of their name, such as `pip install "headgate[dask]"`."""
    side_by_side: Annotated[int, Field(ge=1)] = 1
    """Baselines fitted at once. With `threads` they share the cores of this machine evenly, unless
    `train.threads` says how many each takes; each needs memory of its own. A cluster's workers on the same
    cores slow each other many times over; one at `address` decides by its workers."""
    step_timeout_s: Annotated[float, Field(gt=0)] = LONGEST_STEP_S
    """Longest time that one step of a run may take, in seconds; then it is ended and the run fails. Raise it
    for a training that takes longer."""
    address: str | None = None
    """Of a cluster that runs already: `tcp://scheduler:8786` or `tls://…` (Dask), `ray://head:10001` (Ray).
    Whoever reaches it can run code there: keep it in a network of your own. Its workers need this version of
    Headgate, the state folder at the same path, and a Prefect server that they reach (`PREFECT_API_URL`)."""


def runner_problems(spec: RunnerSpec) -> Iterator[str]:
    """What keeps this runner from being used here, one line each."""
    if spec.kind == "threads":
        if spec.address is not None:
            yield f"runner.address: {spec.address!r} is of a cluster; give `kind: dask` or `kind: ray`, too"
    elif find_spec(EXTRAS[spec.kind]) is None:
        yield (
            f"runner.kind: {spec.kind!r} needs the extra `{spec.kind}`, which is not installed; run "
            f'pip install "headgate[{spec.kind}]", or use `threads`'
        )


@contextmanager
def started(spec: RunnerSpec) -> Iterator[Any]:
    """The Prefect task runner of `spec`, started: tasks are given to its `submit`. Ends with the cluster that
    it started; one at `spec.address` goes on."""
    with ExitStack() as stack:
        if spec.kind == "threads":
            from prefect.task_runners import ThreadPoolTaskRunner

            yield stack.enter_context(ThreadPoolTaskRunner(max_workers=spec.side_by_side))
            return
        stack.enter_context(_server_of_this_flow())
        if spec.address is None:
            # Two workers that draw a bar each would garble the terminal.
            stack.enter_context(_variables({"HEADGATE_CONSOLE": "lines"}, only_if_set=True))
        start = _dask if spec.kind == "dask" else _ray
        yield stack.enter_context(start(spec, stack))


def _dask(spec: RunnerSpec, stack: ExitStack) -> Any:
    from prefect_dask import DaskTaskRunner

    if spec.address is not None:
        return DaskTaskRunner(address=spec.address)
    # A scheduler runs what it is sent: other users of this machine are kept out by certificates of its own.
    return DaskTaskRunner(
        cluster_kwargs={
            "n_workers": spec.side_by_side,
            "threads_per_worker": 1,
            "host": LOOPBACK,
            "security": True,
            "dashboard_address": f"{LOOPBACK}:0",
            "memory_limit": 0,  # a worker only waits for its training, which is a process of its own
        }
    )


def _ray(spec: RunnerSpec, stack: ExitStack) -> Any:
    from prefect_ray import RayTaskRunner

    if spec.address is not None:
        return RayTaskRunner(address=spec.address)
    # Some of its ports listen on all interfaces, whatever is configured: only holders of the token are
    # answered.
    stack.enter_context(_variables({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _ray_token()}))
    # Its sockets need a short path: 107 bytes, of which Ray takes more than half.
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hg-", ignore_cleanup_errors=True))
    return RayTaskRunner(
        init_kwargs={
            "num_cpus": spec.side_by_side,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "_node_ip_address": LOOPBACK,
            "_temp_dir": folder,
        }
    )


@cache
def _ray_token() -> str:
    """One for all clusters of this process: Ray reads it once and refuses those with another."""
    return os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)


@contextmanager
def _server_of_this_flow() -> Iterator[None]:
    """Workers report to the Prefect server of this flow; without that each would start a temporary one of its
    own."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with get_client(sync_client=True) as client:
        url = str(client.api_url)
    with temporary_settings({PREFECT_API_URL: url}):
        yield


@contextmanager
def _variables(values: Mapping[str, str], *, only_if_set: bool = False) -> Iterator[None]:
    """Environment variables for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    for name, value in values.items():
        if before[name] is not None or not only_if_set:
            os.environ[name] = value
    try:
        yield
    finally:
        for name, former in before.items():
            if former is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = former
