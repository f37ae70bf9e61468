"""Decide whether a candidate may ship: all gates, one verdict.

Reads the evidence and asks `expectations`; does not gather it and does not act on the verdict.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.gates.accuracy import judge_accuracy, judge_champion
from expectations.gates.http import http_timings_from_json, judge_http
from expectations.gates.latency import judge_latency
from expectations.gates.memory import judge_memory
from expectations.gates.scores import HeadScores, card_heads, load_scores
from expectations.gates.slices import judge_slices
from expectations.gates.timings import timings_from_json
from expectations.spec import GateRules
from expectations.verdict import Finding, Verdict, combine
from model.files import FileChanged, unchanged
from model.references import Measured, ScoresRef, TimingRef
from model.spec import HeadSpec
from release.champion import ChampionRef
from report.progress import Step


@task(name="decide", cache_policy=NO_CACHE)
def decide(
    heads: Mapping[str, HeadSpec],
    measured: Measured,
    rules: GateRules,
    *,
    champion: ChampionRef | None,
    dataset: Path | None = None,
) -> Verdict:
    """Accuracy against the baselines and the champion, on slices, latency, memory: all must pass.

    Evidence that can't be judged (changed since it was measured, of other rows, malformed) fails by that: the
    candidate is then registered with the reason, as any other that did not pass.

    Args:
        dataset: the dataset folder, for `rules.slices`.
    """
    with Step("decide") as step:
        try:
            verdict = judge(heads, measured, rules, champion=champion, dataset=dataset)
        except (ValueError, FileChanged) as error:
            finding = Finding(subject="evidence", outcome="fail", reason=str(error))
            verdict = Verdict(gate="release", findings=(finding,))
        step.outcome = verdict.outcome
    return verdict


def judge(
    heads: Mapping[str, HeadSpec],
    measured: Measured,
    rules: GateRules,
    *,
    champion: ChampionRef | None,
    dataset: Path | None = None,
) -> Verdict:
    """As `decide`, without Prefect.

    Raises:
        ValueError: two bundles were scored on different rows, or a file of the evidence is malformed.
        model.files.FileChanged: a file of the evidence was changed since it was measured.
    """
    shared = scores_of(measured, "shared", heads)
    baselines = {
        head: found
        for head in heads
        if (found := scores_of(measured, f"baseline:{head}", {head: heads[head]}).get(head)) is not None
    }
    champions, champion_heads = None, None
    if champion is not None:
        card = json.loads((Path(champion.bundle.path) / "card.json").read_text())
        champion_heads = card_heads(card)
        champions = load_scores(_file(measured.scores["champion"]), heads, champion_heads)
    timings = timings_from_json(json.loads(_file(measured.timing).read_text()))
    digests = {label: scores.bundle_sha256 for label, scores in measured.scores.items()}
    http = http_timings_from_json(json.loads(_file(measured.http).read_text()))
    return combine(
        [
            judge_accuracy(shared, baselines, rules, heads),
            judge_champion(shared, champions, rules, heads, champion_heads),
            *judge_slices(shared, baselines, rules, heads, dataset),
            judge_latency(timings, rules, list(heads), digests),
            judge_http(http, rules, digests["shared"]),
            judge_memory(timings, rules, list(heads)),
        ],
        required=("accuracy", "champion", "latency", "http", "memory"),
    )


def scores_of(measured: Measured, label: str, heads: Mapping[str, HeadSpec]) -> dict[str, HeadScores]:
    """The answers of one bundle by its label (`shared`, `baseline:<head>`)."""
    return load_scores(_file(measured.scores[label]), heads)


def _file(ref: ScoresRef | TimingRef) -> Path:
    return unchanged(ref.path, ref.sha256)
