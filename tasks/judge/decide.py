"""Decide whether a candidate may ship: all gates, one verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.gates.release import judge_release
from expectations.spec import GateRules
from expectations.verdict import Verdict
from model.references import Measured
from model.spec import HeadSpec
from release.champion import ChampionRef
from report.progress import Step


@task(name="decide", task_run_name="decide", cache_policy=NO_CACHE)
def decide(
    heads: Mapping[str, HeadSpec],
    measured: Measured,
    rules: GateRules,
    *,
    champion: ChampionRef | None,
    dataset: Path | None = None,
) -> Verdict:
    """Accuracy against the baselines and the champion, on slices, latency, memory: all must pass.

    Args:
        dataset: the dataset folder, for `rules.slices` and for the test rows that the champion has seen.
    """
    bundle, seen = (None, None) if champion is None else (Path(champion.bundle.path), champion.seen)
    with Step("decide") as step:
        verdict = judge_release(
            heads, measured, rules, champion_bundle=bundle, dataset=dataset, champion_seen=seen
        )
        step.outcome = verdict.outcome
    return verdict
