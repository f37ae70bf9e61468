"""Fit the shared model and package it as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.jobs import fit
from model.jobs.package import Packaging, graphs_folder, package_bundle
from model.references import BundleRef, Run
from model.spec import PackageSpec
from release.registry.tracking.course import course
from release.registry.tracking.flow_run import tracked_of
from report.progress import Step


@task(name="fit-shared", tags=["headgate-gpu"], task_run_name="fit-shared", cache_policy=NO_CACHE)
def fit_shared(
    run: Run, teachers: Mapping[str, str], package: PackageSpec, *, fresh: bool = False
) -> BundleRef:
    """The one encoder with all heads, trained on all rows and packaged.

    Args:
        teachers: head → `.npy` file of logits that the head also learns from.
        fresh: train it whatever is kept.

    Raises:
        model.jobs.process.ModelProcessError: the training or the packaging ended badly.
    """
    tracked = tracked_of(run.folder)
    with Step("shared model", unit="steps") as step, course(tracked, "shared") as tell:
        fitted = fit.fit_shared(run, teachers, step, fresh=fresh, on_event=tell)
    job = Packaging(
        fitted=Path(fitted.folder) / "fitted",
        out=run.folder / "shared" / "bundle",
        name=run.name,
        rows=run.rows,
        provenance={**run.provenance, "role": "shared"},
        log=run.logs / "package-shared.log",
        spec=package,
        graphs=graphs_folder(run),
        profile=run.profile,
    )
    with Step("package shared model") as step:
        return replace(package_bundle(job, step), cached=fitted.cached)
