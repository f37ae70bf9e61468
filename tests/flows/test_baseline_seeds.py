"""Baselines of several seeds are kept by their own seed, whichever number it had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prefect import flow

from flows.baselines import baseline_jobs, fit_baselines, smallest_head
from flows.config.schema import Project
from model.files import read_json
from model.jobs.baselines import baseline_key
from model.references import FittedRef, Run, baseline_label
from model.spec import HeadSpec, TrainSpec
from release.home import Home
from tests.support.runs import make_run

Prepared = Callable[[Path, Home], tuple[Project, Run, Path]]


def test_a_baseline_is_known_by_its_seed_whichever_number_it_had(tmp_path: Path) -> None:
    head = HeadSpec(kind="multiclass", labels=("a", "b"))

    def key(recipe_seed: int, seed: int | None = None) -> str:
        train = replace(TrainSpec(), seed=recipe_seed)
        return baseline_key("a", head, "f", make_run(tmp_path, tmp_path, {"a": head}, train=train), seed)

    assert key(17, 18) == key(18) == key(16, 18)
    assert key(17, 17) == key(17) != key(18)


def test_names_in_the_evidence() -> None:
    assert [baseline_label("topic", number) for number in (1, 2, 3)] == [
        "baseline:topic",
        "baseline:topic:2",
        "baseline:topic:3",
    ]


def test_the_smallest_baseline_stands_for_all_where_they_are_timed() -> None:
    """More labels cost more: any other one would be softer on the shared model."""
    heads = {
        name: HeadSpec(kind="multiclass", labels=("x",) * n) for name, n in (("a", 3), ("c", 2), ("b", 2))
    }
    assert smallest_head(heads) == "b"


def test_where_slices_are_judged_every_baseline_is_fitted_on_all_rows(tmp_path: Path) -> None:
    head = HeadSpec(kind="multiclass", labels=("a", "b"))
    run = make_run(tmp_path, tmp_path, {"a": head})
    raw = {
        "name": "x",
        "heads": {"a": "multiclass"},
        "sources": {"s": {"path": "s.csv", "heads": {"a": "a"}}},
    }
    for slices, share in (([], 0.02), ([{"column": "source", "margin": 0.1}], 0.0)):
        project = Project.model_validate({**raw, "gates": {"baseline_new_rows": 0.02, "slices": slices}})
        assert [job.new_rows for job in baseline_jobs(project, run)] == [share]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_seeds_are_two_trainings_and_the_next_run_finds_both(
    tmp_path: Path, two_heads: Callable[..., Path], prepared: Prepared, prefect_harness: None
) -> None:
    home = Home(tmp_path / "home")
    config = two_heads(gates={"baseline_seeds": 2})

    @flow
    def fitted() -> dict[str, tuple[FittedRef, ...]]:
        project, run, _ = prepared(config, home)
        return fit_baselines(project, run)

    found = fitted()
    assert {head: len(refs) for head, refs in found.items()} == {"topic": 2, "drink": 2}
    for head, refs in found.items():
        jobs = [read_json(Path(ref.folder) / "job.json") for ref in refs]
        assert [job["train"]["seed"] for job in jobs] == [17, 18], head
        weights = [(Path(ref.folder) / "fitted" / "weights.safetensors").read_bytes() for ref in refs]
        assert weights[0] != weights[1]
    again = fitted()
    assert all(ref.cached for refs in again.values() for ref in refs)
    assert {h: [r.folder for r in refs] for h, refs in again.items()} == {
        h: [r.folder for r in refs] for h, refs in found.items()
    }
