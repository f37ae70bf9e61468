"""Measuring a candidate beside what it is compared with: what retraining and judging again share.

Order only. First what is answered, then what is timed, one after another and beside nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expectations.gates.usefulness.references import wanted_references
from expectations.spec import GateRules
from flows.parts.graph import step
from model.references import AnswersRef, BundleRef, Measured, Run, ScoresRef, baseline_label
from serving.spec import DeploySpec
from tasks.judge.answer_cheaply import answer_cheaply
from tasks.judge.score import score
from tasks.judge.time_bundles import time_bundles
from tasks.judge.time_http import time_http


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What was answered to the test rows."""

    scores: Mapping[str, ScoresRef]
    references: Mapping[str, AnswersRef]
    """Head → answers of the cheap references."""


def answer(run: Run, bundles: Mapping[str, BundleRef], gates: GateRules) -> Answered:
    """Scores of every model and answers of the cheap references."""
    scores = {
        label: step(score)(label, bundle, run, gates.latency_threads) for label, bundle in bundles.items()
    }
    wanted = wanted_references(gates)
    references = {head: step(answer_cheaply)(head, run, wanted) for head in run.heads} if wanted else {}
    return Answered(scores=scores, references=references)


def measure(
    run: Run, bundles: Mapping[str, BundleRef], gates: GateRules, deploy: DeploySpec, answered: Answered
) -> Measured:
    """The evidence: what was answered, then the latency of the bundles and of the shared one through HTTP, so
    that no measurement disturbs the next."""
    # Every seed gives the same architecture: timing more than the first would only take longer.
    timed = {"shared", "champion", *(baseline_label(head) for head in run.heads)}
    last = [*answered.scores.values()][-1:]
    timing = step(time_bundles, last)(
        {label: bundles[label] for label in bundles if label in timed}, run, gates
    )
    http = step(time_http, [timing])(bundles["shared"], run, gates, deploy)
    return Measured(scores=answered.scores, timing=timing, http=http, references=answered.references)
