"""Where baselines are fitted: threads here; real Dask and Ray clusters where their extras are installed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.baselines import fit_all, fit_baselines, threads_each
from flows.config.load import load_project
from flows.config.messages import ConfigError
from flows.config.schema import Project
from flows.prefect_runs import process_label
from flows.runner import EXTRAS, RunnerSpec, started
from model.jobs.baselines import BaselineJob, OtherCode
from model.references import FittedRef, Run
from release.home import Home
from tasks.train.fit_baseline import fit_baseline
from tests.support.runs import make_run

Prepared = Callable[[Path, Home], tuple[Project, Run, Path]]


def needs(kind: str) -> pytest.MarkDecorator:
    """Skips where the extra is absent."""
    absent = find_spec(EXTRAS[kind]) is None
    return pytest.mark.skipif(absent, reason=f'the extra is not installed: pip install "headgate[{kind}]"')


@task(cache_policy=NO_CACHE)
def meet(barrier: threading.Barrier) -> int:
    """Two of these end only if both run at once."""
    return barrier.wait(timeout=30)


@pytest.mark.parametrize("kind", EXTRAS)
def test_an_absent_extra_is_named_before_anything_is_read(kind: str, two_heads: Callable[..., Path]) -> None:
    if find_spec(EXTRAS[kind]) is not None:
        pytest.skip("the extra is installed")
    with pytest.raises(ConfigError) as refused:
        load_project(two_heads(runner={"kind": kind}))
    [problem] = refused.value.problems
    assert problem.startswith(f"runner.kind: '{kind}' needs the extra `{kind}`")
    assert f'pip install "headgate[{kind}]"' in problem


def test_an_address_is_of_a_cluster(two_heads: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"runner\.address: 'tcp://127\.0\.0\.1:1' is of a cluster"):
        load_project(two_heads(runner={"address": "tcp://127.0.0.1:1"}))
    with pytest.raises(ConfigError, match=r"runner\.kind: saw \"dusk\", expected 'threads', 'dask' or 'ray'"):
        load_project(two_heads(runner={"kind": "dusk"}))


def test_threads_run_side_by_side(prefect_harness: None) -> None:
    @flow
    def two() -> list[int]:
        barrier = threading.Barrier(2)
        with started(RunnerSpec(side_by_side=2)) as runner:
            futures = [runner.submit(meet, {"barrier": barrier}) for _ in range(2)]
            return [future.result() for future in futures]

    assert sorted(two()) == [0, 1]


@pytest.mark.parametrize(
    ("spec", "trainings", "expected"),
    [
        (RunnerSpec(side_by_side=2), 3, 4),
        (RunnerSpec(side_by_side=4), 3, 2),
        (RunnerSpec(side_by_side=16), 12, 1),
        (RunnerSpec(kind="dask", side_by_side=2), 3, None),
        (RunnerSpec(kind="ray", address="ray://head:10001"), 3, None),
    ],
)
def test_trainings_side_by_side_share_the_cores(
    spec: RunnerSpec, trainings: int, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.baselines.cores", lambda: 8)
    assert threads_each(spec, trainings) == expected


def test_a_worker_with_other_code_is_refused(
    tmp_path: Path, two_heads: Callable[..., Path], prefect_harness: None
) -> None:
    project = load_project(two_heads())

    @flow
    def one() -> FittedRef:
        run = make_run(tmp_path, tmp_path, project.heads, backbone=project.backbone, train=project.train)
        return fit_baseline(BaselineJob(name="topic", rows=tmp_path, fingerprint="f", code="f" * 64), run)

    with pytest.raises(OtherCode, match="that of the flow ffffffffffff; install one version"):
        one()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=needs(kind)) for kind in EXTRAS])
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_cluster_fits_the_same_baselines(
    kind: str, tmp_path: Path, two_heads: Callable[..., Path], prepared: Prepared, prefect_harness: None
) -> None:
    """Baselines of the cluster are those of a thread, bit for bit, and the next run starts no cluster."""
    here, there = Home(tmp_path / "here"), Home(tmp_path / "there")
    plain, cluster = two_heads(), {"kind": kind, "side_by_side": 2}

    @flow
    def fit(config: Path, home: Home, pids: bool) -> tuple[dict[str, FittedRef], set[str]]:
        project, run, _ = prepared(config, home)
        found = {head: fitted[0] for head, fitted in fit_baselines(project, run).items()}
        again = [
            BaselineJob(name=name, rows=run.rows, fingerprint=run.head_fingerprints[name])
            for name in run.heads
        ]
        nowhere = RunnerSpec(kind=project.runner.kind, address="tcp://127.0.0.1:1" if pids else None)
        kept = fit_all(project.model_copy(update={"runner": nowhere}), run, again)
        assert all(ref.cached for ref in kept) and [ref.folder for ref in kept] == [
            ref.folder for ref in found.values()
        ]
        return found, _workers(project.runner) if pids else set()

    expected, _ = fit(plain, here, False)
    found, workers = fit(two_heads(runner=cluster), there, True)
    assert workers and process_label() not in workers
    for name, reference in found.items():
        assert not reference.cached and Path(reference.folder).name == Path(expected[name].folder).name
        weights = [Path(f.folder) / "fitted" / "weights.safetensors" for f in (reference, expected[name])]
        assert weights[0].read_bytes() == weights[1].read_bytes()
    assert "RAY_AUTH_TOKEN" not in os.environ, "what was set for the cluster is taken back"


def _workers(spec: RunnerSpec) -> set[str]:
    with started(spec) as runner:
        # Not a function of this module, which workers cannot import.
        who = task(process_label, name="who", cache_policy=NO_CACHE)
        return {future.result() for future in [runner.submit(who, {}) for _ in range(3)]}
