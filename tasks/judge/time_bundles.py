"""Time all bundles against each other: what the latency and memory gates judge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.gates.latency import judge_latency
from expectations.gates.timings import timings_from_json
from expectations.spec import GateRules
from model.jobs import latency
from model.references import BundleRef, Run, TimingRef
from report.progress import Step, print_line


@task(name="time", task_run_name="time", cache_policy=NO_CACHE)
def time_bundles(bundles: Mapping[str, BundleRef], run: Run, gates: GateRules) -> TimingRef:
    """Latency and memory of all bundles, interleaved in one run, each in its own process; again where that
    does not decide.

    Raises:
        model.jobs.process.ModelProcessError: a bundle can't be loaded or timed.
    """

    def enough(timings: Mapping[str, Any]) -> bool:
        heads = [label.removeprefix("baseline:") for label in bundles if label.startswith("baseline:")]
        return judge_latency(timings_from_json(timings), gates, heads).outcome != "inconclusive"

    with Step("time bundles", unit="requests") as step:
        return latency.time_bundles(
            {label: Path(bundle.path) for label, bundle in bundles.items()},
            step,
            latency.TimingPlan(
                texts=run.rows / "test.texts.jsonl",
                out=run.folder / "evidence" / "timing.json",
                log=run.logs / "time.log",
                requests=gates.latency_requests,
                threads=gates.latency_threads,
                seed=gates.seed,
                looks=gates.latency_looks,
                wait_s=gates.quiet_wait_s,
                enough=enough,
                say=lambda line: print_line(f"    {line}"),
            ),
        )
