"""Fit single-head models, side by side where there is room, and not at all where the cache has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from prefect.utilities.annotations import quote

from flows.config.schema import Project
from flows.parts.graph import step, too_long_told
from flows.parts.limits import with_limited_tags
from flows.runner import RunnerSpec, started
from model.code import code_digest
from model.jobs.baselines import BaselineJob, is_kept
from model.measure.machine import cores
from model.references import BundleRef, FittedRef, Run, baseline_label
from model.spec import HeadSpec
from tasks.train.fit_baseline import fit_baseline
from tasks.train.package_baseline import package_baseline


def fit_baselines(project: Project, run: Run, *, fresh: bool = False) -> dict[str, tuple[FittedRef, ...]]:
    """`gates.baseline_seeds` baselines a head. The first is the one that teaches and that is timed.

    Args:
        fresh: take none that was fitted without some of the rows (`gates.baseline_new_rows`).
    """
    jobs = baseline_jobs(project, run)
    if fresh:
        jobs = [replace(job, new_rows=0.0) for job in jobs]
    seeds, fitted = project.gates.baseline_seeds, fit_all(project, run, jobs)
    return {name: tuple(fitted[at * seeds : (at + 1) * seeds]) for at, name in enumerate(run.heads)}


def baseline_jobs(project: Project, run: Run) -> list[BaselineJob]:
    """Head by head, the first with the seed of the recipe, the others with the seeds after it."""
    seeds, first = project.gates.baseline_seeds, run.train.seed
    return [
        BaselineJob(
            name=name,
            rows=run.rows,
            fingerprint=run.head_fingerprints[name],
            part=f"seed {number + 1} of {seeds}" if seeds > 1 else "",
            seed=first + number if number else None,
            label=baseline_label(name, number + 1),
            code=code_digest(),
            # In a slice the new rows may be many, whatever their share of all.
            new_rows=0.0 if project.gates.slices else project.gates.baseline_new_rows,
        )
        for name in run.heads
        for number in range(seeds)
    ]


def package_baselines(
    seeds: Mapping[str, Sequence[FittedRef]], run: Run, precision: str
) -> dict[str, BundleRef]:
    """Every baseline by its label in the evidence. One is packaged, in the shared model's precision, and
    stands for all of their architecture where latency and memory are measured: that of the head with the
    fewest labels, which is the smallest (decision 60)."""
    smallest = smallest_head(run.heads)
    bundle = step(package_baseline)(smallest, seeds[smallest][0], run, precision)
    return {
        baseline_label(head, number): replace(
            bundle,
            fitted=str(Path(baseline.folder) / "fitted"),
            heads=(head,),
            fit_seconds=baseline.seconds,
            cached=baseline.cached,
            unseen=baseline.unseen,
        )
        for head, fitted in seeds.items()
        for number, baseline in enumerate(fitted, 1)
    }


def smallest_head(heads: Mapping[str, HeadSpec]) -> str:
    """The head with the fewest labels; of several, the first by name."""
    return min(heads, key=lambda head: (len(heads[head].labels), head))


def fit_all(project: Project, run: Run, jobs: Sequence[BaselineJob]) -> list[FittedRef]:
    """The models in the order of their jobs, fitted where `project.runner` says.

    Raises:
        model.jobs.process.ModelProcessError: a training ended badly.
        flows.parts.graph.StepTooLong: one took longer than it may.
        model.jobs.baselines.OtherCode: a worker of the cluster has another version of this program.
    """
    waiting = [number for number, job in enumerate(jobs) if not is_kept(job, run)]
    spec, found = project.runner, {}
    alone = spec.kind == "threads" and (spec.side_by_side == 1 or len(waiting) == 1)
    if waiting and not alone:
        threads = threads_each(spec, len(waiting))
        limited = [replace(job, threads=threads, longest_s=spec.step_timeout_s) for job in jobs]
        fitting = with_limited_tags(fit_baseline)
        with started(spec) as runner:
            futures = {
                number: runner.submit(fitting, {"job": quote(limited[number]), "run": quote(run)})
                for number in waiting
            }
            with too_long_told("fit-baseline", spec.step_timeout_s):
                found = {number: future.result() for number, future in futures.items()}
    return [found.get(number) or step(fit_baseline)(job, run) for number, job in enumerate(jobs)]


def threads_each(spec: RunnerSpec, trainings: int) -> int | None:
    """CPU threads of each of the trainings that run side by side on this machine: together as many as there
    are cores. None on a cluster, whose workers take what they were given."""
    if spec.kind != "threads":
        return None
    return max(1, cores() // min(spec.side_by_side, trainings))
