"""Prepare one run: its folder, the encoder, token lengths, and where everything came from.

Knows files and digests; trains nothing.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from model.code import code_digest
from model.digest import digest
from model.faults import fault
from model.files import file_sha256
from model.spec import SPLITS, BackboneSpec, HeadSpec, TrainSpec
from model.train.backbone import load_tokenizer, resolve
from release.home import Home
from report.progress import Step
from sources.dataset import DatasetRef

LONGEST_MEASURED = 8192
"""Longest text that is told apart from longer ones, in tokens."""

HISTOGRAM_BINS = 48
"""Bins of the histogram of lengths in tokens."""

MOST_TEXTS_MEASURED = 50_000
"""Texts a split whose token length is counted: enough for any percentile that is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the flow: where its files go and what it was made from."""

    id: str
    """Time (UTC) and the dataset's fingerprint, sortable."""
    name: str
    """Project."""
    folder: Path
    """What this run leaves behind."""
    logs: Path
    reports: Path
    cache: Path
    rows: Path
    """Rows folder of the dataset (`model.rows`)."""
    profile: Path
    """Profile of the data with token lengths, which travels in the bundle."""
    heads: Mapping[str, HeadSpec]
    """Labels filled in."""
    head_fingerprints: Mapping[str, str]
    encoder_sha256: str
    texts_sha256: str
    """Digest of the training texts in their order."""
    provenance: Mapping[str, Any]
    """Dataset, code, encoder, recipe, versions: goes into card, registry and report."""


@task(name="prepare", cache_policy=NO_CACHE)
def prepare_run(
    name: str, data: DatasetRef, backbone: BackboneSpec, train: TrainSpec, *, config: Path, home: Home
) -> Run:
    """Find the encoder (downloading it where it comes from the hub) and measure the texts with it.

    Raises:
        model.errors.BackboneError: there is no such encoder, or the hub cannot be reached.
    """
    now = datetime.now(UTC)
    run_id = f"{now:%Y%m%dT%H%M%S%f}-{data.fingerprint[:8]}"
    folder = home.runs / run_id
    folder.mkdir(parents=True)
    fault("run_folder_made")
    rows = Path(data.path) / "rows"
    with Step("find the encoder") as step:
        encoder = resolve(backbone)
        tokenizer = load_tokenizer(encoder, max_length=LONGEST_MEASURED)
        step.outcome = f"{backbone.name}, sha256 {encoder.sha256[:12]}…"
    profile = json.loads((Path(data.path) / "profile.json").read_text())
    profile["tokens"] = {
        "max_length": train.max_length,
        "splits": {
            split: _token_lengths(tokenizer, rows / f"{split}.texts.jsonl", train.max_length)
            for split in SPLITS
        },
    }
    (folder / "profile.json").write_text(json.dumps(profile, indent=1))
    provenance = {
        "dataset_fingerprint": data.fingerprint,
        "dataset_rows": dict(data.rows),
        "code_digest": code_digest(),
        "configuration_sha256": file_sha256(config),
        "backbone": {**asdict(backbone), "sha256": encoder.sha256, "revision": encoder.revision},
        "train": asdict(train),
        "created": now.isoformat(timespec="seconds"),
        "run": run_id,
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("headgate", "torch", "transformers", "onnxruntime")},
        },
    }
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
        encoder_sha256=encoder.sha256,
        texts_sha256=digest(json.loads((rows / "rows.json").read_text())["digest"]["train"]),
        provenance=provenance,
    )


def _token_lengths(tokenizer: Any, texts: Path, max_length: int) -> dict[str, Any]:
    """Percentiles and a histogram of text lengths in tokens, before anything is cut."""
    with texts.open(encoding="utf-8") as lines:
        sample = [json.loads(line) for line, _ in zip(lines, range(MOST_TEXTS_MEASURED), strict=False)]
    lengths = np.array([len(encoding.ids) for encoding in tokenizer.encode_batch_fast(sample)] or [0])
    # Evenly spaced on a logarithmic axis, the same for all splits and runs.
    edges = np.unique(np.geomspace(1, LONGEST_MEASURED + 1, HISTOGRAM_BINS + 1).round().astype(int))
    counts, _ = np.histogram(np.maximum(lengths, 1), bins=edges)
    return {
        "rows": len(sample),
        "truncated": int((lengths > max_length).sum()),
        "median": float(np.median(lengths)),
        "p95": float(np.percentile(lengths, 95)),
        "max": int(lengths.max()),
        "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    }
