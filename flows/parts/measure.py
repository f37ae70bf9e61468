"""Measuring a candidate beside what it is compared with: what retraining and judging again share."""

from __future__ import annotations

from collections.abc import Mapping

from expectations.spec import GateRules
from model.references import BundleRef, Measured, Run
from serving.spec import DeploySpec
from tasks.judge.score import score
from tasks.judge.time_bundles import time_bundles
from tasks.judge.time_http import time_http


def measure(run: Run, bundles: Mapping[str, BundleRef], gates: GateRules, deploy: DeploySpec) -> Measured:
    """Scores of every bundle, then the latency of all of them and of the shared one through HTTP, one after
    another, so that no measurement disturbs the next."""
    scores = {label: score(label, bundle, run, gates.latency_threads) for label, bundle in bundles.items()}
    timing = time_bundles(bundles, run, gates)
    http = time_http(bundles["shared"], run, gates, deploy)
    return Measured(scores=scores, timing=timing, http=http)
