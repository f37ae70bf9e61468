"""Fit the baselines (cached by content), let them teach, fit the shared model.

Each training is a process of its own. Does not know how training works (`model`).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from report.progress import Step

from ..code import code_digest
from ..digest import digest
from ..errors import HeadgateError
from ..faults import fault
from ..files import write_bytes
from ..references import BundleRef
from ..spec import BackboneSpec, FitJob, HeadSpec, PackageSpec, SplitName, TrainSpec
from .package import package_bundle
from .process import run_model


def baseline_key(
    head: HeadSpec, head_fingerprint: str, backbone: BackboneSpec, encoder_sha256: str, train: TrainSpec
) -> str:
    """Everything that a baseline depends on, as one digest.

    The head's loss weight is left out: alone, a weight only scales the learning rate of AdamW, which
    is invariant to it. Distillation is left out too: baselines have no teachers.
    """
    alone, recipe = replace(head, weight=1.0), _without_teachers(train)
    return digest("baseline", alone, head_fingerprint, backbone, encoder_sha256, recipe, code_digest())


def _without_teachers(train: TrainSpec) -> TrainSpec:
    """The recipe of a baseline: the same whoever teaches the shared model, and how."""
    return replace(
        train,
        distillation=0.0,
        distillation_final=0.0,
        distillation_mixing=0.0,
        distillation_temperature=1.0,
        distillation_teachers="in_sample",
        distillation_folds=2,
    )


def is_fitted(cache: Path, key: str) -> bool:
    """Whether the cache holds the baseline of this key, whole."""
    return (cache / "baselines" / key / "fitted" / "fit.json").is_file()


class OtherCode(HeadgateError):
    """A worker of a cluster has another version of this program than the flow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRef:
    """A fitted baseline on disk, not yet packaged."""

    folder: str
    """Its folder in the cache, named by everything that it depends on."""
    seconds: float
    """Wall time of the training; of the original one where it came from the cache."""
    cached: bool
    """Whether the cache had it and nothing was trained."""


@task(name="fit-baseline", cache_policy=NO_CACHE, task_run_name="fit-baseline-{name}")
def fit_baseline(
    name: str,
    head: HeadSpec,
    *,
    key: str,
    backbone: BackboneSpec,
    train: TrainSpec,
    rows: Path,
    cache: Path,
    logs: Path,
    part: str = "",
    code: str | None = None,
) -> FittedRef:
    """A single-head model with the same recipe on the same rows of that head.

    Found in the cache by `key`, or trained into it; `fit.json`, written last, says that it is whole.
    `part` is told with its name where `rows` are not all rows, such as `fold 2 of 3`; `code` is the digest of
    `model` where the key was made, for this may run on another machine.

    Raises:
        OtherCode: this process has another `model`, and would keep its work under the wrong key.
        model.jobs.process.ModelProcessError: the training ended badly.
    """
    if code is not None and code != code_digest():
        raise OtherCode(
            f"baseline {name}: `model` on {socket.gethostname()} has the digest {code_digest()[:12]}, that "
            f"of the flow {code[:12]}; install the same version of Headgate on all workers of the cluster"
        )
    title = " ".join(filter(None, ("baseline", name, part)))
    folder = cache / "baselines" / key
    cached = is_fitted(cache, key)
    if cached:
        with Step(title) as step:
            step.outcome = "cached"
    else:
        job = FitJob(
            heads={name: replace(head, weight=1.0)},
            backbone=backbone,
            train=_without_teachers(train),
            rows=str(rows),
            out=str(folder / "fitted"),
            labelled_only=True,
        )
        fit_job(job, title=title, log=logs / f"fit-{name}.log")
    seconds = json.loads((folder / "fitted" / "fit.json").read_text())["seconds"]
    return FittedRef(folder=str(folder), seconds=seconds, cached=cached)


@task(name="package-baseline", cache_policy=NO_CACHE, task_run_name="package-baseline-{name}")
def package_baseline(
    name: str,
    baseline: FittedRef,
    *,
    precision: str,
    rows: Path,
    logs: Path,
    provenance: Mapping[str, Any],
) -> BundleRef:
    """The baseline as a bundle of the shared model's precision, from the cache where it has one."""
    folder = Path(baseline.folder) / precision
    stored = folder / "reference.json"
    if stored.is_file() and (folder / "bundle" / "manifest.json").is_file():
        return _stored(folder, Path(baseline.folder) / "fitted", cached=baseline.cached)
    folder.mkdir(exist_ok=True)
    packaged = package_bundle(
        title=f"package {name}",
        fitted=Path(baseline.folder) / "fitted",
        out=folder / "bundle",
        name=f"baseline-{name}",
        rows=rows,
        provenance={**provenance, "role": "baseline", "cache_key": Path(baseline.folder).name},
        log=logs / f"package-{name}.log",
        precision=precision,
        int8_tolerance=1.0,
    )
    # Its presence says that the folder is complete.
    write_bytes(stored, json.dumps(asdict(packaged), indent=1).encode())
    fault("baseline_packaged")
    return replace(packaged, cached=baseline.cached)


@task(name="teach", cache_policy=NO_CACHE, task_run_name="teach-{name}")
def teach(
    name: str,
    baseline: FittedRef,
    *,
    rows: Path,
    texts_sha256: str,
    cache: Path,
    logs: Path,
    split: SplitName = "train",
) -> str:
    """The baseline's logits for every row of a split, labelled there or not: path of the `.npy` file.

    `texts_sha256` stands for the texts of that split in their order.
    """
    target = cache / "teachers" / digest("teacher", Path(baseline.folder).name, texts_sha256, code_digest())
    with Step(f"teach {name}" if split == "train" else f"answer {name} {split}", unit="rows") as step:
        if (target / f"{name}.npy").is_file():
            step.outcome = "cached"
            return str(target / f"{name}.npy")
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.parent.mkdir(parents=True, exist_ok=True)
        done = run_model(
            [
                *("teach", str(Path(baseline.folder) / "fitted"), str(rows)),
                *("--split", split, "--out", str(temporary)),
            ],
            log=logs / f"teach-{name}.log",
            on_event=lambda event: (
                step.to(event.get("done", 0), event.get("total")) if event["event"] == "taught" else None
            ),
        )
        fault("teacher_written")
        try:
            temporary.rename(target)
        except OSError:
            if not (target / f"{name}.npy").is_file():  # else another process was faster with the same
                raise
        fault("teacher_made")
        step.outcome = f"{done.get('rows', 0):,} rows"
    return str(target / f"{name}.npy")


@task(name="fit-shared", cache_policy=NO_CACHE)
def fit_shared(
    heads: Mapping[str, HeadSpec],
    *,
    name: str,
    backbone: BackboneSpec,
    train: TrainSpec,
    rows: Path,
    out: Path,
    teachers: Mapping[str, str],
    logs: Path,
    provenance: Mapping[str, Any],
    profile: Path | None,
    package: PackageSpec,
) -> BundleRef:
    """The one encoder with all heads, trained on all rows and packaged."""
    job = FitJob(
        heads=dict(heads),
        backbone=backbone,
        train=train,
        rows=str(rows),
        out=str(out / "fitted"),
        teachers=dict(teachers),
    )
    fit_job(job, title="shared model", log=logs / "fit-shared.log")
    return package_bundle(
        title="package shared model",
        fitted=out / "fitted",
        out=out / "bundle",
        name=name,
        rows=rows,
        provenance={**provenance, "role": "shared"},
        profile=profile,
        log=logs / "package-shared.log",
        precision=package.precision,
        int8_tolerance=package.int8_tolerance,
    )


def fit_job(job: FitJob, *, title: str, log: Path) -> None:
    """Run one training in a process of its own and follow it.

    Raises:
        model.jobs.process.ModelProcessError: it ended badly.
    """
    out = Path(job.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    file = out.parent / "job.json"
    file.write_text(json.dumps(asdict(job), indent=1))
    with Step(title, unit="steps") as step:

        def follow(event: Mapping[str, Any]) -> None:
            if event["event"] == "step":
                rate = event.get("rows_per_s") or 0
                step.to(event["step"], event["steps"], f"loss {event['loss']:.3f}  {rate:.0f} rows/s")

        done = run_model(["fit", str(file)], log=log, on_event=follow)
        step.outcome = f"{done['rows_per_s']:.0f} rows/s, best epoch {done['best_epoch']}"


def _stored(folder: Path, fitted: Path, *, cached: bool) -> BundleRef:
    raw = json.loads((folder / "reference.json").read_text())
    # The home folder may have moved since.
    places = {"path": str(folder / "bundle"), "fitted": str(fitted)}
    return BundleRef(**{**raw, "heads": tuple(raw["heads"]), **places, "cached": cached})
