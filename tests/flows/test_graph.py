"""The arrows of a flow's graph, names of runs, and what is tried again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun

from flows.parts.graph import STEP_S, StepTooLong, asking, part, renewed, step
from flows.shown.names import project_of
from release.registry.client import RegistryAway, RegistryProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """Holds others, as references do."""

    name: str
    of: tuple[object, ...] = ()


@task(name="make", task_run_name="make-{name}", cache_policy=NO_CACHE)
def make(name: str, *of: object) -> Ref:
    return Ref(name=name, of=of)


def task_runs(run: UUID) -> dict[str, TaskRun]:
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
    for _ in range(50):
        with get_client(sync_client=True) as client:
            found = {one.name: one for one in client.read_task_runs(flow_run_filter=wanted)}
        if "make-last" in found:
            return found
        time.sleep(0.1)
    raise AssertionError("the task runs did not arrive")


def test_an_arrow_is_drawn_for_what_a_step_comes_after_and_for_nothing_else(prefect_harness: None) -> None:
    @flow(name="graph")
    def graph() -> UUID:
        from prefect.context import FlowRunContext

        first = step(make)("first")
        second = renewed(Ref(name="second, completed", of=(first,)), step(make, [first])("second", first))
        below = part("below", lambda: step(make)("inside", first, second), [second])
        step(make, [second, below, None, "no result"])("last", first, second, below)
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        return context.flow_run.id

    found = task_runs(graph())
    arrows = {name: sum(map(len, run.task_inputs.values())) for name, run in found.items()}
    assert arrows == {"make-first": 0, "make-second": 1, "below-0": 1, "make-last": 2}


def test_who_gives_no_answer_is_asked_again_and_a_refusal_is_told_at_once(
    prefect_harness: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.parts.graph.BACK_OFF_S", 0.01)
    asked: list[str] = []

    @task(name="ask", cache_policy=NO_CACHE)
    def ask(error: type[Exception], times: int) -> str:
        asked.append(error.__name__)
        if len(asked) <= times:
            raise error("no")
        return "yes"

    @flow(name="asks")
    def asks(error: type[Exception], times: int) -> str:
        return asking(ask)(error, times)

    assert asks(RegistryAway, 1) == "yes" and len(asked) == 2
    asked.clear()
    with pytest.raises(RegistryProblem):
        asks(RegistryProblem, 1)
    assert len(asked) == 1


@pytest.mark.slow
def test_a_step_that_hangs_is_ended(prefect_harness: None) -> None:
    @task(name="hang", cache_policy=NO_CACHE)
    def hang() -> None:
        for _ in range(1000):  # a pause that pytest's own alarm lets end soon
            time.sleep(0.1)

    @flow(name="hangs")
    def hangs() -> None:
        STEP_S.set(0.3)
        with pytest.raises(StepTooLong, match=r"step hang: took longer .* `runner.step_timeout_s`"):
            step(hang)()

    before = STEP_S.get()
    try:
        hangs()  # a step that is not ended runs into the limit of a test
    finally:
        STEP_S.set(before)


def test_a_run_is_named_after_its_project(tmp_path: Path) -> None:
    config = tmp_path / "my file.yaml"
    config.write_text("name: kitchen\n")
    assert project_of({"config": config}) == "kitchen" and project_of({"name": "toy"}) == "toy"
    config.write_text("[")
    assert project_of({"config": config}) == "my file" == project_of({"config": str(config)})
