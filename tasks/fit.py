"""Fit the baselines (cached by content), let them teach, fit the shared model.

Each training is a process of its own. Does not know how training works (`model`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.code import code_digest
from model.spec import BackboneSpec, FitJob, HeadSpec, TrainSpec
from tasks.digest import digest
from tasks.model_process import run_model
from tasks.package import package_bundle
from tasks.progress import Step
from tasks.references import BundleRef


def baseline_key(
    head: HeadSpec, head_fingerprint: str, backbone: BackboneSpec, encoder_sha256: str, train: TrainSpec
) -> str:
    """Everything that a baseline depends on, as one digest.

    The head's loss weight is left out: alone, a weight only scales the learning rate of AdamW, which
    is invariant to it. Distillation is left out too: baselines have no teachers.
    """
    alone = replace(head, weight=1.0)
    recipe = replace(train, distillation=0.0, distillation_temperature=1.0)
    return digest("baseline", alone, head_fingerprint, backbone, encoder_sha256, recipe, code_digest())


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
    provenance: Mapping[str, Any],
) -> BundleRef:
    """A single-head model with the same recipe on the same rows of that head, packaged.

    Found in the cache by `key`, or trained and put there by one rename.
    """
    folder = cache / "baselines" / key
    if _complete(folder):
        with Step(f"baseline {name}") as step:
            step.outcome = "cached"
        return replace(_stored(folder), cached=True)
    job = FitJob(
        heads={name: replace(head, weight=1.0)},
        backbone=backbone,
        train=replace(train, distillation=0.0),
        rows=str(rows),
        out=str(folder / "fitted"),
        labelled_only=True,
    )
    _fit(job, title=f"baseline {name}", log=logs / f"fit-{name}.log")
    packaged = package_bundle(
        title=f"package {name}",
        fitted=folder / "fitted",
        out=folder / "bundle",
        name=f"baseline-{name}",
        rows=rows,
        provenance={**provenance, "role": "baseline", "cache_key": key},
        log=logs / f"package-{name}.log",
    )
    temporary = folder / ".reference.json"
    temporary.write_text(json.dumps(asdict(packaged), indent=1))
    temporary.replace(folder / "reference.json")  # its presence says that the folder is complete
    return packaged


@task(name="teach", cache_policy=NO_CACHE, task_run_name="teach-{name}")
def teach(name: str, baseline: BundleRef, *, rows: Path, texts_sha256: str, cache: Path, logs: Path) -> str:
    """The baseline's logits for every training row, labelled there or not: path of the `.npy` file."""
    target = (
        cache / "teachers" / digest("teacher", Path(baseline.path).parent.name, texts_sha256, code_digest())
    )
    with Step(f"teach {name}", unit="rows") as step:
        if (target / f"{name}.npy").is_file():
            step.outcome = "cached"
            return str(target / f"{name}.npy")
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.parent.mkdir(parents=True, exist_ok=True)
        done = run_model(
            ["teach", baseline.fitted, str(rows), "--out", str(temporary)],
            log=logs / f"teach-{name}.log",
            on_event=lambda event: (
                step.to(event.get("done", 0), event.get("total")) if event["event"] == "taught" else None
            ),
        )
        with contextlib.suppress(FileExistsError):
            temporary.rename(target)
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
    _fit(job, title="shared model", log=logs / "fit-shared.log")
    return package_bundle(
        title="package shared model",
        fitted=out / "fitted",
        out=out / "bundle",
        name=name,
        rows=rows,
        provenance={**provenance, "role": "shared"},
        profile=profile,
        log=logs / "package-shared.log",
    )


def _fit(job: FitJob, *, title: str, log: Path) -> None:
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


def _complete(folder: Path) -> bool:
    return (folder / "reference.json").is_file() and (folder / "bundle" / "manifest.json").is_file()


def _stored(folder: Path) -> BundleRef:
    raw = json.loads((folder / "reference.json").read_text())
    return BundleRef(
        **{
            **raw,
            "heads": tuple(raw["heads"]),
            "path": str(folder / "bundle"),  # the home folder may have moved since
            "fitted": str(folder / "fitted"),
        }
    )
