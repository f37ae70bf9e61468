"""What is signed together with a verdict: how, where and with what it was measured.

Knows references and the timing file's head; holds no text from the data.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expectations.spec import GateRules
from expectations.verdict import ApprovedVersion, Verdict
from model.references import Measured
from release.registry.register import RegisteredVersion
from tasks.data.prepare_run import Run


def approve(registered: RegisteredVersion, verdict: Verdict) -> ApprovedVersion:
    """The registered version as one that may be promoted.

    Raises:
        expectations.verdict.NotApproved: the verdict is not a pass.
    """
    return ApprovedVersion(
        name=registered.name,
        version=registered.version,
        bundle_sha256=registered.bundle_sha256,
        verdict=verdict,
    )


def gather_configuration(project: str, run: Run, rules: GateRules) -> dict[str, Any]:
    """What a version was made and judged by: the file's digest, the recipe, the gates' thresholds."""
    return {
        "project": project,
        "run": run.id,
        "sha256": run.provenance["configuration_sha256"],
        "heads": {name: asdict(head) for name, head in run.heads.items()},
        "backbone": run.provenance["backbone"],
        "train": run.provenance["train"],
        "gates": asdict(rules),
        "versions": run.provenance["versions"],
    }


def gather_evidence(measured: Measured, run: Run, rules: GateRules) -> dict[str, Any]:
    """Digests of the scores and timings, machine, threads, counts and seeds. The figures themselves, with
    the rows behind each, are in the verdict's findings."""
    timing = json.loads(Path(measured.timing.path).read_text())
    return {
        "scores": {label: scores.sha256 for label, scores in measured.scores.items()},
        "scored_bundles": {label: scores.bundle_sha256 for label, scores in measured.scores.items()},
        "timing": measured.timing.sha256,
        "http": measured.http.sha256,
        "machine": timing["machine"],
        "threads": timing["threads"],
        "requests": rules.latency_requests,
        "http_requests": rules.http_requests,
        "http_rate_per_s": rules.http_rate_per_s,
        "resamples": rules.resamples,
        "rows": dict(run.provenance["dataset_rows"]),
        "seeds": {"gates": rules.seed, "train": run.provenance["train"]["seed"]},
    }
