"""`headgate schedule` on a real Prefect server: made, left alone, changed, removed; projects do not meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.config.load import load_project
from flows.schedule.plan import Deployment, deployments
from flows.schedule.server import AnotherProject, Done, apply, look, remove
from tests.support.scheduled_project import scheduled_config

FLOWS = ("retrain", "validate", "rollback", "judge")
pytestmark = pytest.mark.usefixtures("prefect_harness")


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Deployment, ...]]:
    """The deployments of a project, which are gone afterwards."""
    monkeypatch.chdir(tmp_path)
    file = scheduled_config(tmp_path, cron="0 3 * * 1", timezone="Europe/Berlin")
    made = deployments(load_project(file), Path(file.name))
    yield made
    remove(made)


def changes(done: list[Done]) -> list[tuple[str, str]]:
    return [(one.name.split()[0], one.change) for one in done]


def on_server(name: str) -> Any:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.read_deployment_by_name(f"{name.split()[0]}/{name}")
        return found, client.read_resource_related_automations(f"prefect.deployment.{found.id}")


def test_twice_changes_nothing_and_a_changed_schedule_is_changed(plan: tuple[Deployment, ...]) -> None:
    assert changes(apply(plan)) == [(flow, "made") for flow in FLOWS]
    before, automations = on_server("retrain kitchen")
    assert changes(apply(plan)) == [(flow, "as it was") for flow in FLOWS]
    after, same = on_server("retrain kitchen")
    assert after.updated == before.updated and [one.id for one in same] == [one.id for one in automations]
    assert [(one.schedule.cron, one.schedule.timezone) for one in after.schedules] == [
        ("0 3 * * 1", "Europe/Berlin")
    ]
    assert after.global_concurrency_limit.limit == 1
    assert after.concurrency_options.collision_strategy.value == "ENQUEUE"
    assert after.job_variables["stream_output"] is False, "a pipe to the worker ends the run with the worker"

    moved = [replace(one, cron="0 4 * * *") if one.flow == "retrain" else one for one in plan]
    assert [one for one in apply(moved) if one.change != "as it was"] == [
        Done(name="retrain kitchen", change="changed", detail="schedule")
    ]
    found, again = on_server("retrain kitchen")
    assert [one.schedule.cron for one in found.schedules] == ["0 4 * * *"] and len(again) == 1


def test_what_a_person_paused_stays_paused(plan: tuple[Deployment, ...]) -> None:
    from prefect.client.orchestration import get_client

    apply(plan)
    found, _ = on_server("validate kitchen")
    with get_client(sync_client=True) as client:
        client.pause_deployment(found.id)
        client.update_deployment_schedule(found.id, found.schedules[0].id, active=False)
    apply([replace(one, cron="7 7 * * *") if one.flow == "validate" else one for one in plan])
    found, _ = on_server("validate kitchen")
    assert found.paused and [one.active for one in found.schedules] == [False]
    assert [one.schedule.cron for one in found.schedules] == ["7 7 * * *"]
    shown = dict(look(plan))
    assert shown["validate kitchen"] == (
        "at 7 7 * * * Europe/Berlin; paused; differs from the configuration: schedule"
    )


def test_several_projects_on_one_server_do_not_meet(plan: tuple[Deployment, ...], tmp_path: Path) -> None:
    apply(plan)
    (tmp_path / "other").mkdir()
    elsewhere = scheduled_config(tmp_path / "other")
    project = load_project(elsewhere)
    with pytest.raises(AnotherProject, match=r"'retrain kitchen' for .*/project.yaml, not for .*/other/proj"):
        apply(deployments(project, elsewhere))
    found, _ = on_server("retrain kitchen")
    assert found.parameters == {"config": "project.yaml"}
    other = deployments(project.model_copy(update={"name": "cellar"}), elsewhere)
    assert changes(apply(other)) == [(flow, "made") for flow in FLOWS]
    assert changes(apply(plan)) == [(flow, "as it was") for flow in FLOWS]
    assert changes(remove(other)) == [(flow, "removed") for flow in FLOWS]
    assert changes(remove(other)) == [(flow, "was not there") for flow in FLOWS]
    assert changes(apply(plan)) == [(flow, "as it was") for flow in FLOWS]


def test_the_names_of_version_0_1_are_replaced(plan: tuple[Deployment, ...], tmp_path: Path) -> None:
    """Two schedules would start everything twice."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    pull = [{"prefect.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}]
    with get_client(sync_client=True) as client:
        former = client.create_deployment(
            client.create_flow_from_name("retrain"),
            "kitchen",
            entrypoint="flows.retrain.retrain",
            parameters={"config": "project.yaml"},
            pull_steps=pull,
        )
        assert ("retrain/kitchen", "removed") in [(one.name, one.change) for one in apply(plan)]
        with pytest.raises(ObjectNotFound):
            client.read_deployment(former)
