"""Prepare one run: its folder, the encoder, token lengths, and where everything came from."""

from __future__ import annotations

import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.code import code_digest
from model.faults import fault
from model.files import file_sha256, read_json, write_json
from model.jobs.baselines import split_sha256
from model.jobs.memory import memory_warning
from model.jobs.prepare import MOST_TEXTS_MEASURED, measure_tokens
from model.references import Run
from model.spec import BackboneSpec, TrainSpec
from release.home import Home
from release.keep.owner import mark_run
from report.progress import Step, print_line
from sources.dataset import DatasetRef
from sources.profile.origins import rows_of_sources

VERSIONS = ("headgate", "torch", "transformers", "onnxruntime")
"""Packages whose version is part of a model's provenance."""


@task(name="prepare", task_run_name="prepare", cache_policy=NO_CACHE)
def prepare_run(
    name: str, data: DatasetRef, backbone: BackboneSpec, train: TrainSpec, *, config: Path, home: Home
) -> Run:
    """Find the encoder (downloading it where it comes from the hub) and measure the texts with it.

    Raises:
        model.errors.BackboneError: there is no such encoder, or the hub cannot be reached.
    """
    now, rows = datetime.now(UTC), Path(data.path) / "rows"
    run_id = f"{now:%Y%m%dT%H%M%S%f}-{data.fingerprint[:8]}"
    folder = home.runs / run_id
    mark_run(folder, name)
    fault("run_folder_made")
    with Step("find the encoder") as step:
        sources = rows_of_sources(Path(data.path), MOST_TEXTS_MEASURED)
        encoder, tokens = measure_tokens(backbone, train, rows, sources, cache=home.cache)
        step.outcome = f"{backbone.name}, sha256 {encoder.files_sha256[:12]}…"
    if warning := memory_warning(encoder.folder, train, tokens):
        print_line(f"  {warning}")
    write_json(folder / "profile.json", {**read_json(rows.with_name("profile.json")), "tokens": tokens})
    return Run(
        id=run_id,
        name=name,
        folder=folder,
        logs=home.logs / run_id,
        reports=home.reports / run_id,
        cache=home.cache,
        rows=rows,
        profile=folder / "profile.json",
        heads=dict(data.heads),
        head_fingerprints=dict(data.head_fingerprints),
        backbone=backbone,
        train=train,
        encoder_sha256=encoder.files_sha256,
        texts_sha256=split_sha256(rows, "train"),
        provenance={
            "dataset_fingerprint": data.fingerprint,
            "dataset_rows": dict(data.rows),
            "code_digest": code_digest(),
            "configuration_sha256": file_sha256(config),
            "backbone": asdict(backbone)
            | {name: getattr(encoder, name) for name in ("sha256", "files_sha256", "revision")},
            "train": asdict(train),
            "created": now.isoformat(timespec="seconds"),
            "run": run_id,
            "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}},
        },
    )
