"""Time the candidate through HTTP, at the declared rate, on a private endpoint."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.gates.http import http_timings_from_json, worth_another_look
from expectations.spec import GateRules
from model.files import file_sha256, write_json
from model.references import BundleRef, Run, TimingRef
from report.progress import Step, print_line
from serving.process.http_timing import HttpTimingJob, Patience, measure_patiently
from serving.spec import DeploySpec


@task(name="time-http", task_run_name="time-http", cache_policy=NO_CACHE)
def time_http(shared: BundleRef, run: Run, gates: GateRules, deploy: DeploySpec) -> TimingRef:
    """Latency through HTTP at the declared rate, and the endpoint's memory; again where a busy machine kept
    it from deciding."""
    target = run.folder / "evidence" / "http.json"
    job = HttpTimingJob(
        name=run.name,
        bundle=Path(shared.path),
        deploy=deploy,
        texts=run.rows / "test.texts.jsonl",
        requests=gates.http_requests,
        rate_per_s=gates.http_rate_per_s,
        threads=gates.latency_threads,
        seed=gates.seed,
        log=run.logs / "http.log",
        folder=run.folder,
    )
    patience = Patience(
        looks=gates.latency_looks,
        wait_s=gates.quiet_wait_s,
        again=lambda found: worth_another_look(http_timings_from_json(found), gates),
        say=lambda line: print_line(f"    {line}"),
    )
    with Step("time over HTTP", unit="requests") as step:
        found = measure_patiently(job, patience)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(target, found, indent=None)
        looks = f", look {found['look']}" if found["look"] > 1 else ""
        rate = f"{gates.http_requests} requests at {gates.http_rate_per_s:g}/s{looks}"
        step.outcome = found.get("problem") or rate
    return TimingRef(path=str(target), sha256=file_sha256(target))
