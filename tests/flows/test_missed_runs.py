"""Runs of one deployment on a real Prefect server: one at a time also after a kill, and the newest of those
that were missed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.states import Completed, Crashed, Pending, Running, Scheduled, State

from flows.outcome import LEFT
from flows.prefect_runs import TAG, _never_began, close_flow_runs, newer_run, process_label
from flows.schedule.record import POOL

DEAD = TAG + process_label().rsplit(":", 1)[0] + ":1"
"""This process's number, but started at another time: a process that is gone."""


@flow(name="one-at-a-time")
def one_at_a_time() -> None:
    """Deployed with a limit of one run."""


@pytest.fixture
def client(prefect_harness: None) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as made:
        yield made


@pytest.fixture
def deployment(client: SyncPrefectClient) -> UUID:
    flow_id = client.create_flow(one_at_a_time)
    return client.create_deployment(flow_id, name=f"limited-{uuid4().hex[:8]}", concurrency_limit=1)


def taken(client: SyncPrefectClient, deployment: UUID) -> int:
    limit = client.read_deployment(deployment).global_concurrency_limit
    assert limit is not None
    return limit.active_slots


def begun(client: SyncPrefectClient, deployment: UUID, tag: str) -> FlowRun:
    """A run that holds the slot of its deployment, as a worker and an engine begin it."""
    made = client.create_flow_run_from_deployment(deployment, tags=[tag])
    for state in (Pending(), Running()):
        accepted = client.set_flow_run_state(made.id, state)
        assert accepted.state is not None and accepted.state.type == state.type, accepted
    return client.read_flow_run(made.id)


def within(run: FlowRun, work: Any) -> Any:
    """What `work` gives inside of a run."""
    with FlowRunContext.model_construct(flow_run=run):
        return work()


def test_closing_a_dead_run_whose_lease_ended_does_not_free_the_slot_of_the_next(
    client: SyncPrefectClient, deployment: UUID
) -> None:
    dead = begun(client, deployment, DEAD)
    assert dead.state is not None and taken(client, deployment) == 1
    lease = dead.state.state_details.deployment_concurrency_lease_id
    assert lease is not None
    client.release_concurrency_slots_with_lease(lease)  # as the server does when the lease has expired
    mine = begun(client, deployment, TAG + process_label())
    assert taken(client, deployment) == 1
    said = within(mine, close_flow_runs)
    assert any(dead.name in one for one in said)
    assert taken(client, deployment) == 1, "a third run would begin beside this one"
    waiting = client.create_flow_run_from_deployment(deployment)
    answer = client.set_flow_run_state(waiting.id, Pending())
    assert answer.state is not None and answer.state.name == "AwaitingConcurrencySlot"
    client.set_flow_run_state(mine.id, Completed())
    assert taken(client, deployment) == 0, "and no slot stays taken"


def test_closing_it_from_a_command_leaves_the_slot_of_a_run_that_goes_on(
    client: SyncPrefectClient, deployment: UUID
) -> None:
    dead = begun(client, deployment, DEAD)
    assert dead.state is not None
    lease = dead.state.state_details.deployment_concurrency_lease_id
    assert lease is not None
    client.release_concurrency_slots_with_lease(lease)
    begun(client, deployment, TAG + process_label())
    close_flow_runs()  # as `headgate schedule` does, which is no run
    assert taken(client, deployment) == 1, "a third run would begin beside the one that goes on"


def test_a_dead_run_whose_lease_holds_frees_its_slot_once(
    client: SyncPrefectClient, deployment: UUID
) -> None:
    begun(client, deployment, DEAD)
    close_flow_runs()
    assert taken(client, deployment) == 0


def test_a_run_that_a_killed_worker_took_never_began(
    client: SyncPrefectClient, deployment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_by_worker = client.create_flow_run_from_deployment(deployment)
    client.set_flow_run_state(taken_by_worker.id, Pending())
    run = client.read_flow_run(taken_by_worker.id)
    mine = run.model_copy(update={"work_pool_name": POOL})
    assert not _never_began(mine), "it may begin yet"
    monkeypatch.setattr("flows.prefect_runs.BEGINS_WITHIN", timedelta(0))
    assert _never_began(mine) and not _never_began(run), "others' pools are others' business"


def due(client: SyncPrefectClient, deployment: UUID, minutes_ago: int, state: State[Any] | None) -> FlowRun:
    """A run that was due so long ago, as the server's scheduler makes it: there is no call for that."""
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    made = client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=at))
    if state is not None:
        client.set_flow_run_state(made.id, state, force=True)
    run = client.read_flow_run(made.id)
    return run.model_copy(update={"auto_scheduled": True})


@pytest.mark.parametrize(
    ("state", "does_it"),
    [(None, True), (Running(), True), (Completed(), True), (Crashed(), False)],
    ids=["waits", "runs", "has run", "crashed"],
)
def test_of_missed_runs_the_newest_does_the_work(
    client: SyncPrefectClient,
    deployment: UUID,
    state: State[Any] | None,
    does_it: bool,
) -> None:
    older = due(client, deployment, 50, None)
    newest = due(client, deployment, 10, state)
    due(client, deployment, -30, None)  # not due yet
    said = within(older, newer_run)
    assert bool(said) == does_it
    assert not does_it or newest.name in said
    assert within(newest, newer_run) == ""
    by_hand = older.model_copy(update={"auto_scheduled": False})
    assert within(by_hand, newer_run) == "", "a run that somebody started is never left out"


def test_where_each_begins_after_the_next_is_due_the_work_is_done_all_the_same(
    client: SyncPrefectClient, deployment: UUID
) -> None:
    """On a machine so slow that a run begins when the next one is due already."""
    did_it, run = [], due(client, deployment, 60, None)
    for minutes_ago in (50, 40, 30, 20, 10):
        the_next = due(client, deployment, minutes_ago, None)
        newer = within(run, newer_run)
        did_it.append(not newer)
        message = f"{LEFT}{newer}" if newer else ""
        client.set_flow_run_state(run.id, Completed(name="Unchanged", message=message), force=True)
        run = the_next
    assert did_it == [False, True, False, True, False]


def test_outside_of_a_deployment_there_is_no_newer_run(client: SyncPrefectClient) -> None:
    made = client.create_flow_run(one_at_a_time, state=Running())
    assert newer_run() == "" and within(client.read_flow_run(made.id), newer_run) == ""
    client.set_flow_run_state(made.id, Completed())
    closed = client.read_flow_run(made.id).state
    assert closed is not None and closed.type == StateType.COMPLETED
