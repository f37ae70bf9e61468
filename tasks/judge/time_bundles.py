"""Time all bundles against each other: what the latency and memory gates judge."""

from __future__ import annotations

from collections.abc import Mapping

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.spec import GateRules
from model.jobs import latency
from model.references import BundleRef, Run, TimingRef
from report.progress import Step


@task(name="time", cache_policy=NO_CACHE)
def time_bundles(bundles: Mapping[str, BundleRef], run: Run, gates: GateRules) -> TimingRef:
    """Latency and memory of all bundles, interleaved in one run, each in its own process.

    Raises:
        model.jobs.process.ModelProcessError: a bundle can't be loaded or timed.
    """
    with Step("time bundles", unit="requests") as step:
        return latency.time_bundles(
            bundles,
            run,
            step,
            requests=gates.latency_requests,
            threads=gates.latency_threads,
            seed=gates.seed,
        )
