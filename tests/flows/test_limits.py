"""A tag asks Prefect's server for a place only where somebody has limited it."""

from __future__ import annotations

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.context import TaskRunContext

from flows.parts.graph import step

TAG = "headgate-test-limit"


@task(tags=[TAG], cache_policy=NO_CACHE)
def tags_and_places() -> tuple[set[str], int]:
    """Tags of its run, and how many places of the limit are taken."""
    context = TaskRunContext.get()
    assert context is not None
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/v2/concurrency_limits/filter", json={"limit": 200}).json()
    return set(context.task_run.tags), sum(
        one["active_slots"] for one in found if one["name"] == f"tag:{TAG}"
    )


def test_a_tag_is_asked_for_only_where_it_is_limited(prefect_harness: None) -> None:
    @flow
    def one() -> tuple[set[str], int]:
        return step(tags_and_places)()

    assert one() == (set(), 0)
    with get_client(sync_client=True) as client:
        client.create_concurrency_limit(tag=TAG, concurrency_limit=1)
    assert one() == ({TAG}, 1), "a flow run that begins later takes the place"
