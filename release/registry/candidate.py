"""What is registered of a run: the bundle, its verdict, and the figures, models and files beside it.

Does not know the registry.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from expectations.gates.figures import verdict_figures
from expectations.gates.scores import answered_labels, load_scores
from expectations.spec import GateRules
from expectations.verdict import Verdict
from model.errors import BadInput
from model.files import read_json
from model.references import BundleRef, Measured, Run
from model.spec import HeadSpec
from serving.store.manifest import SEEN_EVIDENCE, SEEN_FILE

VS_CHAMPION = " vs champion"
"""End of the subject of a head that is compared with the champion."""
HEADLINES: Mapping[str, str] = {
    "p95 of one request": "latency/p95_ms",
    "p95 over HTTP": "latency/http_p95_ms",
    "latency vs baselines": "latency/ratio",
    "peak memory": "size/memory_mib",
    "bundle size": "size/bundle_mib",
}
"""Subject of a finding that is of no head → its headline."""
FINGERPRINT_EVIDENCE, CODE_EVIDENCE = "dataset_fingerprint", "code_digest"
"""Entries of the evidence with the dataset's fingerprint and the digest of the code, in full."""
INPUTS_EVIDENCE = "inputs"
"""Entry of the evidence with the digest of the run's inputs (`release.runs.inputs`)."""
ANSWERED_EVIDENCE = "answered"
"""Entry of the evidence with what the version answered on its test rows (`answered_labels`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """One model of a run."""

    label: str
    """`shared`, `baseline:HEAD`, `baseline:HEAD:2`."""
    fitted: Path
    """Folder that its training left."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Precision, size, time of the training."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """`test/HEAD/METRIC` → figure."""


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
    seen: Path | None = None
    """List of the texts that it was trained on, named `SEEN_FILE`; its sha256 is in the evidence."""
    models: Sequence[TrainedModel] = ()
    """The shared model and its baselines."""
    heads: Mapping[str, HeadSpec] = field(default_factory=dict)
    """Labels filled in."""
    scores: Mapping[str, Path] = field(default_factory=dict)
    """Label of a model → file of its answers on the test rows."""
    texts: Path | None = None
    """File of the test rows' texts."""
    files: Sequence[Path] = ()
    """Further files to keep with the run."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """How and where the figures behind the verdict were measured (`gather_evidence`)."""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    """What it was made and judged by."""


def candidate_of(
    run: Run,
    bundles: Mapping[str, BundleRef],
    verdict: Verdict,
    *,
    dataset: Path,
    measured: Measured,
    gates: GateRules,
) -> Candidate:
    """The shared model of a run of the flow, with the figures of its verdict and what it was compared with.

    Writes the list of the texts that it was trained on into the run's folder.

    Args:
        bundles: `shared`, `baseline:<head>` and, where there is one, `champion`.

    Raises:
        OSError: a file of the run or the dataset's table cannot be read.
    """
    from expectations.seen_texts import write_seen  # late: loads pyarrow, which no other move needs

    shared = bundles["shared"]
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
        metrics={**card_figures(card), **headline_figures(verdict, list(run.heads))},
        models=trained_models(run, bundles, measured),
        heads=run.heads,
        scores={label: Path(scores.path) for label, scores in measured.scores.items()},
        texts=run.rows / "test.texts.jsonl",
        seen=Path(seen.path),
        evidence={**gather_evidence(measured, run, gates), SEEN_EVIDENCE: seen.sha256},
        configuration=gather_configuration(run, gates),
    )


def trained_models(
    run: Run, bundles: Mapping[str, BundleRef], measured: Measured
) -> tuple[TrainedModel, ...]:
    """The models that a run trained or found, each with its figures on the test rows of its heads."""
    from expectations.gates.head_metrics import metric_value  # late: loads scipy

    found = []
    for label, bundle in bundles.items():
        if label == "champion" or label not in measured.scores:
            continue
        heads = {head: run.heads[head] for head in bundle.heads if head in run.heads}
        metrics = {}
        with contextlib.suppress(OSError, ValueError, BadInput):  # the gates say what is wrong with them
            scores = load_scores(Path(measured.scores[label].path), heads)
            metrics = {
                f"test/{head}/{name}": metric_value(scores[head], name)
                for head, spec in heads.items()
                if head in scores and (name := spec.primary_metric)
            }
        params = {
            "precision": bundle.precision,
            "bundle_bytes": bundle.bytes,
            "fit_seconds": round(bundle.fit_seconds, 1),
            "from_cache": bundle.cached,
            "bundle": bundle.sha256[:12],
        }
        found.append(TrainedModel(label=label, fitted=Path(bundle.fitted), params=params, metrics=metrics))
    return tuple(found)


def card_figures(card: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a card that its heads are trained for, named `validation/emotion/macro_f1`."""
    return {
        f"validation/{head}/{figure}": value
        for head, figures in card.get("metrics", {}).get("validation", {}).items()
        for figure, value in figures.items()
        if isinstance(value, int | float) and figure != "rows"
    }


def headline_figures(verdict: Verdict, heads: Sequence[str]) -> dict[str, float]:
    """The figures of a verdict that runs are compared by: `test/intent/accuracy`, `baseline/intent/accuracy`,
    `difference/intent`, `champion/intent/accuracy`, `latency/p95_ms`, …. All others are in its table."""
    found: dict[str, float | None] = {}
    for one in verdict_figures(verdict):
        head = one.subject.removesuffix(VS_CHAMPION)
        if head in heads and one.comparison in ("difference", "better", "not_worse"):
            if head == one.subject:
                found |= {
                    f"test/{head}/{one.metric}": one.shared.value,
                    f"difference/{head}": one.difference.value,
                }
                found[f"baseline/{head}/{one.metric}"] = one.baseline.value
            else:
                found[f"champion/{head}/{one.metric}"] = one.baseline.value
        elif (name := HEADLINES.get(one.subject.partition(" at ")[0])) is not None:
            found[name] = one.difference.value if one.comparison == "ratio" else one.shared.value
    return {name: value for name, value in found.items() if value is not None}


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
        FINGERPRINT_EVIDENCE: run.provenance["dataset_fingerprint"],
        CODE_EVIDENCE: run.provenance["code_digest"],
        ANSWERED_EVIDENCE: answered_labels(load_scores(Path(measured.scores["shared"].path), run.heads)),
        "seeds": {"gates": rules.seed, "train": run.provenance["train"]["seed"]},
    }
