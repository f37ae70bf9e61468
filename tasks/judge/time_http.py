"""Time the candidate through HTTP, at the declared rate, on a private endpoint."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.spec import GateRules
from model.files import file_sha256, write_json
from model.references import BundleRef, Run, TimingRef
from report.progress import Step
from serving.process.http_timing import HttpTimingJob, measure_http
from serving.spec import DeploySpec


@task(name="time-http", cache_policy=NO_CACHE)
def time_http(shared: BundleRef, run: Run, gates: GateRules, deploy: DeploySpec) -> TimingRef:
    """Latency through HTTP at the declared rate, and the endpoint's memory."""
    target = run.folder / "evidence" / "http.json"
    with Step("time over HTTP", unit="requests") as step:
        found = measure_http(
            HttpTimingJob(
                name=run.name,
                bundle=Path(shared.path),
                deploy=deploy,
                texts=run.rows / "test.texts.jsonl",
                requests=gates.http_requests,
                rate_per_s=gates.http_rate_per_s,
                threads=gates.latency_threads,
                seed=gates.seed,
                log=run.logs / "http.log",
            )
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(target, found, indent=None)
        step.outcome = (
            found.get("problem") or f"{gates.http_requests} requests at {gates.http_rate_per_s:g}/s"
        )
    return TimingRef(path=str(target), sha256=file_sha256(target))
