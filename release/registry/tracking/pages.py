"""Writes the descriptions and readable tags of a run, its version and its registered model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release.home import Home
from release.registry.candidate import Candidate
from release.registry.client import Registry, RegistryProblem, open_registry
from release.registry.tracking.describe import (
    MODEL_TRAINING,
    NOTE_TAG,
    REPORT_PAGE,
    artifact_link,
    describe_candidate,
    describe_model,
)
from release.spec import RegistrySpec

if TYPE_CHECKING:
    from release.registry.register import Place

MOST_TAG = 250
"""Longest readable tag, in characters."""


def readable_tags(candidate: Candidate) -> dict[str, str]:
    """What a list of versions says of each at a glance."""
    heads, rows = candidate.heads, candidate.dataset_rows
    tags = {
        "verdict": candidate.verdict.outcome,
        "heads": ", ".join(heads),
        "encoder": str(candidate.params.get("backbone", {}).get("name", "")),
        "rows": ", ".join(f"{count:,} {split}" for split, count in rows.items()),
    }
    return {tag: value[:MOST_TAG] for tag, value in tags.items() if value}


def describe(registry: Registry, place: Place, name: str, candidate: Candidate, version: int) -> None:
    """Describe the run, the version and the registered model of a candidate of project `name`."""
    client, report = registry.client, artifact_link(place.experiment, place.run, REPORT_PAGE)
    text = describe_candidate(candidate, registry.model, version, report)
    client.set_tag(place.run, NOTE_TAG, text)
    for tag, value in readable_tags(candidate).items():
        client.set_tag(place.run, tag, value)
    client.update_model_version(registry.model, str(version), text)
    heads = candidate.configuration.get("heads") or {}
    client.update_registered_model(registry.model, describe_model(name, heads))


def describe_again(registry: Registry, run_id: str, version: int, candidate: Candidate) -> None:
    """Write a version's description and readable tags anew, after another verdict."""
    client = registry.client
    report = artifact_link(client.get_run(run_id).info.experiment_id, run_id, REPORT_PAGE)
    text = describe_candidate(candidate, registry.model, version, report)
    client.set_tag(run_id, NOTE_TAG, text)
    client.set_tag(run_id, "verdict", candidate.verdict.outcome)
    client.set_model_version_tag(registry.model, str(version), "verdict", candidate.verdict.outcome)
    client.update_model_version(registry.model, str(version), text)


def training_page(home: Home, name: str, spec: RegistrySpec) -> str:
    """Where the runs of project `name` are, below MLflow's address; empty where there are none, or the
    registry does not say."""
    registry = open_registry(home, name, spec)
    try:
        with registry.asked("look for the experiment"):
            found = registry.client.get_experiment_by_name(spec.experiment or name)
    except RegistryProblem:
        return ""
    return "" if found is None else f"#/experiments/{found.experiment_id}{MODEL_TRAINING}"
