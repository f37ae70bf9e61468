"""Package a fitted model as a bundle: the bytes that are judged and the bytes that ship.

Does not know how the graph is exported (`model.export.package`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import file_sha256, read_json, write_json
from ..references import BundleRef, Run
from ..spec import PackageSpec
from .process import run_model
from .progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaging:
    """One packaging."""

    fitted: Path
    """Fitted folder."""
    out: Path
    """Bundle folder, which is made."""
    name: str
    """Name on the card."""
    rows: Path | None
    """Rows folder on whose validation split the precision is chosen; None where it is given."""
    provenance: Mapping[str, Any]
    log: Path
    spec: PackageSpec
    graphs: Path | None = None
    """Folder with the graphs of architectures (`graphs_folder`)."""
    profile: Path | None = None
    """Profile of the data that travels in the bundle."""


def graphs_folder(run: Run) -> Path:
    """Where a run keeps the graphs of architectures."""
    return run.cache / "graphs"


def package_bundle(job: Packaging, progress: Progress) -> BundleRef:
    """Export a fitted model to a bundle; precision `auto` is chosen on validation rows.

    Raises:
        model.jobs.process.ModelProcessError: the graph differs from the network, or a figure is not finite.
    """
    facts = job.out.parent / "provenance.json"
    facts.parent.mkdir(parents=True, exist_ok=True)
    write_json(facts, dict(job.provenance))
    arguments = ["package", str(job.fitted), "--out", str(job.out), "--name", job.name]
    arguments += ["--provenance", str(facts)]
    if job.rows is not None:
        arguments += ["--rows", str(job.rows)]
    arguments += ["--precision", job.spec.precision, "--int8-tolerance", str(job.spec.int8_tolerance)]
    if job.graphs is not None:
        arguments += ["--graphs", str(job.graphs)]
    if job.profile is not None:
        arguments += ["--profile", str(job.profile)]
    run_model(arguments, log=job.log)
    bundle = describe_bundle(job.out, job.fitted)
    progress.outcome = f"{bundle.precision}, {bundle.bytes / 1e6:.1f} MB"
    return bundle


def describe_bundle(bundle: Path, fitted: Path | None = None) -> BundleRef:
    """The reference to a bundle folder; `fitted` is the folder that it was packaged from, where it is
    known."""
    card = read_json(bundle / "card.json")
    return BundleRef(
        path=str(bundle),
        fitted="" if fitted is None else str(fitted),
        sha256=file_sha256(bundle / "manifest.json"),
        heads=tuple(card["heads"]),
        precision=card["precision"],
        bytes=sum(file.stat().st_size for file in bundle.iterdir()),
        fit_seconds=0.0 if fitted is None else read_json(fitted / "fit.json")["seconds"],
    )
