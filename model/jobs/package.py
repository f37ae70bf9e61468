"""Package a fitted model as a bundle: the bytes that are judged and the bytes that ship.

Does not know how the graph is exported (`model.export.package`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from report.progress import Step

from ..files import file_sha256
from ..references import BundleRef
from .process import run_model


def package_bundle(
    *,
    title: str,
    fitted: Path,
    out: Path,
    name: str,
    rows: Path,
    provenance: Mapping[str, Any],
    log: Path,
    precision: str,
    int8_tolerance: float,
    profile: Path | None = None,
) -> BundleRef:
    """Export `fitted` to a bundle in `out`; precision `auto` is chosen on validation rows.

    Raises:
        model.jobs.process.ModelProcessError: the graph differs from the network, or a figure is not finite.
    """
    facts = out.parent / "provenance.json"
    facts.write_text(json.dumps(dict(provenance), indent=1, default=str))
    arguments = ["package", str(fitted), "--out", str(out), "--name", name, "--rows", str(rows)]
    arguments += ["--provenance", str(facts), "--precision", precision]
    arguments += ["--int8-tolerance", str(int8_tolerance)]
    if profile is not None:
        arguments += ["--profile", str(profile)]
    with Step(title) as step:
        run_model(arguments, log=log)
        card = json.loads((out / "card.json").read_text())
        fit = json.loads((fitted / "fit.json").read_text())
        size = sum(file.stat().st_size for file in out.iterdir())
        step.outcome = f"{card['precision']}, {size / 1e6:.1f} MB"
    return BundleRef(
        path=str(out),
        fitted=str(fitted),
        sha256=file_sha256(out / "manifest.json"),
        heads=tuple(card["heads"]),
        precision=card["precision"],
        bytes=size,
        fit_seconds=fit["seconds"],
    )
