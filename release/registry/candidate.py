"""What is registered of a run: the bundle, its verdict, and the figures, curves and files beside it.

Does not know the registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from expectations.gates.figures import verdict_figures
from expectations.gates.scores import answered_labels, load_scores
from expectations.spec import GateRules
from expectations.verdict import Verdict
from model.files import read_json
from model.references import BundleRef, Measured, Run
from serving.store.manifest import SEEN_EVIDENCE, SEEN_FILE

INPUTS_EVIDENCE = "inputs"
"""Entry of the evidence with the digest of the run's inputs (`release.runs.inputs`)."""
ANSWERED_EVIDENCE = "answered"
"""Entry of the evidence with what the version answered on its test rows (`answered_labels`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What is registered."""

    bundle: Path
    """Bundle folder."""
    bundle_sha256: str
    """Digest of its manifest when it was judged."""
    verdict: Verdict
    run_name: str
    dataset: Path
    """Dataset folder."""
    dataset_fingerprint: str
    dataset_rows: Mapping[str, int] = field(default_factory=dict)
    """Split → texts."""
    code_digest: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Recipe and versions; nested mappings become dotted names."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Name → figure. One that is not finite is left out and named in a tag."""
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    """Name → (step, value) points of the training."""
    seen: Path | None = None
    """List of the texts that it was trained on, named `SEEN_FILE`; its sha256 is in the evidence."""
    files: Sequence[Path] = ()
    """Further files to keep with the run."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """How and where the figures behind the verdict were measured (`gather_evidence`)."""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    """What it was made and judged by."""


def candidate_of(
    run: Run, shared: BundleRef, verdict: Verdict, *, dataset: Path, measured: Measured, gates: GateRules
) -> Candidate:
    """The shared model of a run of the flow, with its training curves and the figures of its verdict.

    Writes the list of the texts that it was trained on into the run's folder.

    Raises:
        OSError: a file of the run or the dataset's table cannot be read.
    """
    from expectations.seen_texts import write_seen  # late: loads pyarrow, which no other move needs

    card = read_json(Path(shared.path) / "card.json")
    seen = write_seen(dataset, run.folder / SEEN_FILE)
    return Candidate(
        bundle=Path(shared.path),
        bundle_sha256=shared.sha256,
        verdict=verdict,
        run_name=run.id,
        dataset=dataset,
        dataset_fingerprint=run.provenance["dataset_fingerprint"],
        dataset_rows=run.provenance["dataset_rows"],
        code_digest=run.provenance["code_digest"],
        params={key: run.provenance[key] for key in ("backbone", "train", "versions")},
        metrics={**card_figures(card), **verdict_metrics(verdict)},
        curves=training_curves(read_json(Path(shared.fitted) / "history.json")),
        seen=Path(seen.path),
        evidence={**gather_evidence(measured, run, gates), SEEN_EVIDENCE: seen.sha256},
        configuration=gather_configuration(run, gates),
    )


def training_curves(history: Mapping[str, Any]) -> dict[str, list[tuple[int, float]]]:
    """Name → (step, value) points, from the `history.json` of a fitted folder."""
    curves = {"train/loss": [(point["step"], point["loss"]) for point in history["steps"]]}
    for epoch in history["epochs"]:
        curves.setdefault("validation/mean", []).append((epoch["step"], epoch["mean"]))
        for head, value in epoch["metrics"].items():
            curves.setdefault(f"validation/{head}", []).append((epoch["step"], value))
    return curves


def card_figures(card: Mapping[str, Any]) -> dict[str, float]:
    """Figures of a card, named `validation/emotion/macro_f1`."""
    return {
        f"{where}/{head}/{figure}": value
        for where, heads in card.get("metrics", {}).items()
        for head, figures in heads.items()
        for figure, value in figures.items()
        if isinstance(value, int | float)
    }


def verdict_metrics(verdict: Verdict) -> dict[str, float]:
    """Figures behind a verdict, named `emotion/difference`; missing ones are left out."""
    return {
        f"{figures.subject}/{name}": value
        for figures in verdict_figures(verdict)
        for name, value in figures.numbers().items()
    }


def gather_configuration(run: Run, rules: GateRules) -> dict[str, Any]:
    """What a version was made and judged by: the file's digest, the recipe, the gates' thresholds."""
    return {
        "project": run.name,
        "run": run.id,
        "sha256": run.provenance["configuration_sha256"],
        "heads": {name: asdict(head) for name, head in run.heads.items()},
        "backbone": run.provenance["backbone"],
        "train": run.provenance["train"],
        "gates": asdict(rules),
        "versions": run.provenance["versions"],
    }


def gather_evidence(measured: Measured, run: Run, rules: GateRules) -> dict[str, Any]:
    """Digests of the scores, answers of references and timings, machine, threads, counts and seeds, and which
    labels it answered how often. The figures themselves, with the rows behind each, are in the verdict's
    findings.

    Raises:
        OSError: the scores can't be read.
    """
    timing = read_json(Path(measured.timing.path))
    return {
        "scores": {label: scores.sha256 for label, scores in measured.scores.items()},
        "scored_bundles": {label: scores.bundle_sha256 for label, scores in measured.scores.items()},
        "references": {head: answers.sha256 for head, answers in measured.references.items()},
        "timing": measured.timing.sha256,
        "http": measured.http.sha256,
        "machine": timing["machine"],
        "looks": timing.get("looks", []),
        "threads": timing["threads"],
        "requests": rules.latency_requests,
        "http_requests": rules.http_requests,
        "http_rate_per_s": rules.http_rate_per_s,
        "resamples": rules.resamples,
        "rows": dict(run.provenance["dataset_rows"]),
        INPUTS_EVIDENCE: run.provenance.get(INPUTS_EVIDENCE, ""),
        ANSWERED_EVIDENCE: answered_labels(load_scores(Path(measured.scores["shared"].path), run.heads)),
        "seeds": {"gates": rules.seed, "train": run.provenance["train"]["seed"]},
    }
