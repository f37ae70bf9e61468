"""A `Run` for tests that call jobs directly, without a dataset or a flow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.references import Run
from model.spec import BackboneSpec, HeadSpec, TrainSpec


def make_run(
    folder: Path,
    rows: Path,
    heads: Mapping[str, HeadSpec],
    *,
    backbone: BackboneSpec | None = None,
    train: TrainSpec | None = None,
    cache: Path | None = None,
    provenance: Mapping[str, Any] | None = None,
    encoder_sha256: str = "",
) -> Run:
    """A run whose files lie below `folder`; by default its cache does, too."""
    return Run(
        id="run",
        name="toy",
        folder=folder / "runs" / "run",
        logs=folder / "logs",
        reports=folder / "reports",
        cache=cache or folder / "cache",
        rows=rows,
        profile=folder / "profile.json",
        heads=heads,
        head_fingerprints=dict.fromkeys(heads, "f"),
        backbone=backbone or BackboneSpec(),
        train=train or TrainSpec(),
        encoder_sha256=encoder_sha256,
        texts_sha256="t",
        provenance=provenance or {},
    )
