"""Measuring a candidate beside what it is compared with: what retraining and judging again share."""

from __future__ import annotations

from collections.abc import Mapping

from expectations.gates.usefulness.references import wanted_references
from expectations.spec import GateRules
from flows.parts.graph import step
from model.references import BundleRef, Measured, Run, baseline_label
from serving.spec import DeploySpec
from tasks.judge.answer_cheaply import answer_cheaply
from tasks.judge.score import score
from tasks.judge.time_bundles import time_bundles
from tasks.judge.time_http import time_http


def measure(run: Run, bundles: Mapping[str, BundleRef], gates: GateRules, deploy: DeploySpec) -> Measured:
    """Scores of every bundle and answers of the cheap references, then the latency of all bundles and of the
    shared one through HTTP, one after another, so that no measurement disturbs the next."""
    scores = {
        label: step(score)(label, bundle, run, gates.latency_threads) for label, bundle in bundles.items()
    }
    wanted = wanted_references(gates)
    references = {head: step(answer_cheaply)(head, run, wanted) for head in run.heads} if wanted else {}
    # Every seed gives the same architecture: timing more than the first would only take longer.
    timed = {"shared", "champion", *(baseline_label(head) for head in run.heads)}
    last = [*scores.values()][-1:]
    timing = step(time_bundles, last)(
        {label: bundles[label] for label in bundles if label in timed}, run, gates
    )
    http = step(time_http, [timing])(bundles["shared"], run, gates, deploy)
    return Measured(scores=scores, timing=timing, http=http, references=references)
