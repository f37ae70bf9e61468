"""What Prefect keeps of a run that failed unforeseen holds no password: messages, results, log lines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from mlflow.exceptions import MlflowException
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.logging.handlers import APILogHandler
from prefect.settings import get_current_settings
from requests.exceptions import ConnectionError as NoConnection
from sqlalchemy.exc import StatementError

from flows.project import open_home
from release.home import Home
from release.saved_settings import Settings, save_settings

SECRET = "n0b0dys-business"
ADDRESS = f"postgresql://me:{SECRET}@127.0.0.1:9/mlflow"


class _Own(Exception):
    """Its text is none of its arguments."""

    def __str__(self) -> str:
        return f"no answer from {ADDRESS}"


ERRORS: dict[str, Callable[[], Exception]] = {
    "of a database": lambda: StatementError("failed", "login", {"address": ADDRESS}, ValueError(ADDRESS)),
    "of a request": lambda: NoConnection(ValueError(f"no answer from {ADDRESS}")),
    "of the registry": lambda: MlflowException(f"no answer from {ADDRESS}"),
    "with a text of its own": _Own,
}


@task(name="ask")
def ask(kind: str) -> None:
    """What a task without a step does."""
    raise ERRORS[kind]()


@flow(name="unforeseen")
def unforeseen(home: Path, kind: str, in_task: bool) -> None:
    """Opens a project as every flow does; then a library fails."""
    open_home(home, "toy")
    if in_task:
        ask(kind)
    raise ERRORS[kind]()


@pytest.fixture
def home(tmp_path: Path, prefect_harness: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    save_settings(Home(tmp_path / "home"), "toy", Settings())
    yield tmp_path / "home"


@pytest.mark.parametrize("in_task", [True, False], ids=["in a task", "in the flow"])
@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_that_nobody_foresaw_is_kept_without_its_password(
    kind: str, in_task: bool, home: Path
) -> None:
    state = unforeseen(home, kind, in_task, return_state=True)
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    kept = list(_kept(run_id, tasks=int(in_task)))
    assert not [text for text in kept if SECRET in text]
    assert [text for text in kept if "***@127.0.0.1:9" in text]
    storage = get_current_settings().results.local_storage_path
    files = [path for path in Path(storage).rglob("*") if path.is_file()] if Path(storage).is_dir() else []
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def _kept(run_id: UUID, *, tasks: int) -> Iterator[str]:
    """Messages of the run and its tasks, and its log lines, as the server has them."""
    APILogHandler().flush()
    only = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    with get_client(sync_client=True) as client:
        end = time.monotonic() + 20
        while True:  # what became of tasks arrives as events
            done = [
                run
                for run in client.read_task_runs(flow_run_filter=only)
                if run.state and run.state.is_final()
            ]
            if len(done) >= tasks:
                break
            assert time.monotonic() < end
            time.sleep(0.1)
        yield from (str(run.state and run.state.message) for run in (client.read_flow_run(run_id), *done))
        lines = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))
        yield from (line.message for line in lines)
