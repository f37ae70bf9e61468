"""`prefect.yaml` is what the configuration says, written by the code that `headgate schedule` uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.config.load import load_project
from flows.config.schema import Project
from flows.schedule.prefect_file import prefect_file
from tasks.data.emit_drift_event import DRIFT_EVENT, project_resource

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))[
    "deployments"
]


def deployed(flow: str) -> list[tuple[dict[str, Any], Project]]:
    """Deployments of a flow, each with its project."""
    chosen = [one for one in DEPLOYMENTS if one["entrypoint"] == f"flows.{flow}.{flow}"]
    return [(one, load_project(ROOT / one["parameters"]["config"])) for one in chosen]


@pytest.mark.parametrize("flow", ["retrain", "validate"])
def test_a_deployment_bears_the_name_and_the_schedule_of_its_project(flow: str) -> None:
    for deployment, project in deployed(flow):
        cron = project.schedule.cron if flow == "retrain" else project.schedule.validate_cron
        assert deployment["name"] == f"{flow} {project.name}"
        assert [one["cron"] for one in deployment["schedules"]] == [cron]


def test_the_file_is_the_one_that_is_written_from_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    written = prefect_file(Path("configs/quickstart.yaml"))
    assert (ROOT / "prefect.yaml").read_text(encoding="utf-8") == written, (
        "run `python -m flows.schedule.prefect_file configs/quickstart.yaml > prefect.yaml`"
    )


def test_each_retraining_waits_for_the_drift_of_its_own_project() -> None:
    assert deployed("retrain")
    for deployment, project in deployed("retrain"):
        [trigger] = deployment["triggers"]
        assert trigger["match"] == {"prefect.resource.id": project_resource(project.name)}
        assert trigger["expect"] == [DRIFT_EVENT]
        assert trigger["within"] == project.schedule.cooldown_span.total_seconds() == 86400
