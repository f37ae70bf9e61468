"""How a run ends that has nothing to do: as it would end, at once, and compared with what. Order only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flows.config.schema import Project
from flows.parts.graph import asking, step
from flows.project import OpenProject
from release.champion import ChampionRef
from release.registry.client import open_registry
from release.registry.register import RegisteredVersion
from release.runs.judged import JudgedInputs, pages_of
from release.runs.standing import Standing
from report.verdict_table import verdict_rows
from sources.dataset import DatasetRef
from tasks.data.gather_inputs import gather_inputs
from tasks.judge.compare_inputs import compare_inputs

WITHOUT_EFFECT = frozenset(
    {"schedule", "runner", "keep", "notify", "registry.wait_s", "registry.log_mistakes"}
    | {"deploy.keep_versions", "deploy.bake", "deploy.traces_url", "deploy.traces_share"}
    | {"backbone.revision"}
)
"""Sections and fields that decide when and where a run works and what is told, not what it makes. Which
revision an encoder has is told by its files."""
FORCE = "`headgate retrain CONFIG --force` trains nevertheless"


def look_back(opened: OpenProject, data: DatasetRef, champion: ChampionRef | None) -> Standing:
    """How the inputs of this run stand to what serves and to what was judged before."""
    project, base = opened.project, opened.base
    rules = {f"expectations.modules {name}": base / name for name in project.expectations.modules}
    inputs = asking(gather_inputs, [data])(data, project.backbone, effective(project), files=rules)
    return step(compare_inputs, [inputs, champion])(
        opened.home,
        project.name,
        project.registry,
        inputs,
        champion=champion,
        least_rows=project.schedule.min_change,
    )


def effective(project: Project) -> dict[str, Any]:
    """Field → value of all that a candidate or its verdict depend on: `gates.margin` → 0.03."""
    return dict(_leaves(project.model_dump(mode="json"), ""))


def _leaves(section: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        field = f"{prefix}{name}"
        if field in WITHOUT_EFFECT:
            continue
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{field}.")
        else:
            yield field, value


def ending_without_work(opened: OpenProject, standing: Standing) -> dict[str, Any] | None:
    """Fields of `flows.outcome.Outcome` for a run that need not train; None where it has to."""
    record, home = standing.record, opened.home
    pages = {} if record is None else pages_of(record, home)
    match standing.kind:
        case "unchanged" | "withdrawn":
            return {"stage": "unchanged", "reasons": (standing.said,), "pages": pages, "remarks": (FORCE,)}
        case "decided" if record is not None:
            verdict = record.judged()
            remarks = (f"nothing was trained: {standing.said}; {FORCE}", *record.remarks, *verdict.remarks)
            return {
                "stage": "model_rejected",
                "reasons": verdict.reasons,
                "rows": tuple(verdict_rows(verdict)),
                "registered": _registered(opened, record).facts,
                "undecided": verdict.outcome == "inconclusive",
                "pages": pages,
                "remarks": remarks,
            }
        case _:
            return None


def _registered(opened: OpenProject, record: JudgedInputs) -> RegisteredVersion:
    """The version that a record names, as the registry knows it."""
    registry = open_registry(opened.home, opened.project.name, opened.project.registry)
    return RegisteredVersion(
        name=registry.model,
        version=record.version,
        run_id=record.mlflow_run,
        bundle_sha256=record.scored_bundles.get("shared", ""),
        tracking_uri=registry.uri,
        experiment=record.mlflow_experiment,
    )
