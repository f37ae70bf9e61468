"""`gates.baseline_new_rows`: few new rows keep the earlier baselines, and the gate knows what they lack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import flow

from flows.baselines import fit_baselines, package_baselines
from flows.config.schema import Project
from flows.parts.graph import step
from model.references import FittedRef, Run, ScoresRef
from release.home import Home
from tasks.judge.score import score

Prepared = Callable[[Path, Home], tuple[Project, Run, Path]]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_few_new_rows_keep_the_baselines_and_force_fits_them_anew(
    tmp_path: Path, two_heads: Callable[..., Path], prepared: Prepared, prefect_harness: None
) -> None:
    home = Home(tmp_path / "home")
    config = two_heads(gates={"baseline_new_rows": 0.05})

    @flow
    def fitted(fresh: bool = False) -> tuple[dict[str, FittedRef], dict[str, ScoresRef]]:
        project, run, _ = prepared(config, home)
        found = fit_baselines(project, run, fresh=fresh)
        bundles = package_baselines(found, run, "float32")
        scores = {label: step(score)(label, bundle, run, 1) for label, bundle in bundles.items()}
        return {head: refs[0] for head, refs in found.items()}, scores

    first, _ = fitted()
    assert not any(one.cached or one.unseen for one in first.values())

    with (config.parent / "rows.csv").open("a", encoding="utf-8") as file:
        file.write("tea tea milk a new text,,yes,train\n")
    again, scores = fitted()
    assert (again["topic"].folder, dict(again["topic"].unseen)) == (first["topic"].folder, {})
    assert again["drink"].folder == first["drink"].folder and again["drink"].cached
    assert set(again["drink"].unseen) == {"yes", "no"}
    assert 0 < again["drink"].unseen["no"] <= again["drink"].unseen["yes"] <= 0.05
    assert scores["baseline:drink"].unseen == again["drink"].unseen and not scores["baseline:topic"].unseen

    anew, scores = fitted(fresh=True)
    assert anew["drink"].folder != first["drink"].folder
    assert not anew["drink"].unseen and not scores["baseline:drink"].unseen
