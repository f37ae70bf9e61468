"""How long each step of a run may take that makes a candidate, before it begins.

Trainings by the operations that they need (`flows.check.estimate`), which their first steps correct
(`report.time_left`); others as they took on two cores, by what they grow with.
"""

from __future__ import annotations

from flows.baselines import baseline_jobs
from flows.check.estimate import operations_s, size_of
from flows.config.schema import Project
from model.files import read_json
from model.jobs.baselines import baseline_entry, is_kept
from model.references import Run, baseline_label
from release.champion import ChampionRef

START_S = 3.0
"""Of a training: what it does before its first step and after its last one."""
SHARED = "shared model"
FIXED_S = {"judge the data": 8.0, "package shared model": 5.0, "package a baseline": 4.0}
"""Title → seconds, whatever the rows."""
ANSWERED_ROWS_S = 400.0
"""Rows that a model answers in a second."""
BLOCKS, BLOCK_S, REQUEST_S = 10, 1.0, 0.03
"""Of timing: blocks, what a bundle's process costs in each, and a request."""


def planned_seconds(project: Project, run: Run, champion: ChampionRef | None) -> dict[str, float]:
    """Title of each step that takes long → seconds that it may take; what is kept takes none."""
    tokens = read_json(run.profile)["tokens"]
    test_rows = tokens["splits"]["test"]["rows"]
    size, gates = size_of(project.backbone), project.gates
    token_s = 0.0 if size is None else 6 * size.of_layers / operations_s(project)
    planned = dict(FIXED_S)
    for job in baseline_jobs(project, run):
        if not is_kept(job, run):
            read = tokens["heads"][job.name]["train"]
            planned[job.title] = START_S + _trained(read, project) * token_s
        if not baseline_entry(job, run).complete:
            planned[f"answer {job.name} train"] = tokens["splits"]["train"]["rows"] / ANSWERED_ROWS_S
    planned[SHARED] = START_S + _trained(tokens["splits"]["train"], project) * token_s
    labels = ["shared", *([] if champion is None else ["champion"]), *map(baseline_label, run.heads)]
    planned |= {f"score {label}": test_rows / ANSWERED_ROWS_S for label in labels}
    timed = 3 + (champion is not None)  # the shared model twice, and one baseline for all
    planned["time bundles"] = timed * (BLOCKS * BLOCK_S + gates.latency_requests * REQUEST_S)
    planned["time over HTTP"] = 3.0 + gates.http_requests / gates.http_rate_per_s
    return planned


def _trained(read: dict[str, int], project: Project) -> float:
    """Tokens that a training reads."""
    longest = read["rows"] * project.train.max_length
    return float(project.train.epochs * min(read["tokens"] + 2 * read["rows"], longest))
