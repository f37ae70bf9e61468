"""Time a candidate through HTTP before anything is promoted: a private endpoint, an open loop of requests.

The endpoint serves whatever is signed with the key that it was given. Here that is a key made for this one
measurement, in a temporary folder that goes with it: no other endpoint knows that key, so nothing that is
signed here can ever serve anywhere else, and the project's key signs nothing that did not pass.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.files import file_sha256, write_bytes
from model.jobs.process import PROJECT_ROOT
from model.references import BundleRef, TimingRef
from report.progress import Step
from serving.client import NoAnswer, get
from serving.process import control as process
from serving.spec import DeploySpec
from serving.store import signing
from serving.store.manifest import ReleaseManifest, ReleaseRefused
from serving.store.release_folder import ReleaseFolder

TRIAL = {
    "gate": "trial",
    "findings": [{"subject": "trial", "outcome": "pass", "reason": "private, for measuring", "figures": {}}],
}
"""The verdict under which the private endpoint serves. Worth nothing elsewhere: see the docstring above."""
PATIENCE_S = 60.0
"""Added to the length of the schedule before the generator counts as hung."""


@task(name="time-http", cache_policy=NO_CACHE)
def time_http(
    name: str,
    shared: BundleRef,
    *,
    deploy: DeploySpec,
    rows: Path,
    out: Path,
    requests: int,
    rate_per_s: float,
    threads: int,
    seed: int,
    logs: Path,
) -> TimingRef:
    """Latency through HTTP at the declared rate, and the endpoint's memory."""
    target = out / "http.json"
    with Step("time over HTTP", unit="requests") as step:
        found = measure_http(
            name,
            Path(shared.path),
            deploy=deploy,
            texts=rows / "test.texts.jsonl",
            requests=requests,
            rate_per_s=rate_per_s,
            threads=threads,
            seed=seed,
            log=logs / "http.log",
        )
        out.mkdir(parents=True, exist_ok=True)
        write_bytes(target, json.dumps(found, allow_nan=False).encode())
        step.outcome = found.get("problem") or f"{requests} requests at {rate_per_s:g}/s"
    return TimingRef(path=str(target), sha256=file_sha256(target))


def measure_http(
    name: str,
    bundle: Path,
    *,
    deploy: DeploySpec,
    texts: Path,
    requests: int,
    rate_per_s: float,
    threads: int,
    seed: int,
    log: Path,
) -> dict[str, Any]:
    """What `expectations.gates.http` reads; with `problem` instead of columns where nothing was served.

    Args:
        name: project, which the private release is made out to.
        bundle: folder of the candidate's bundle.
        deploy: how the real endpoint is started; host, port and token are left aside.
        texts: JSON lines of the test texts.
        requests: how many requests, at `rate_per_s`.
        threads: CPU threads of the model.
        seed: of the texts drawn.
        log: where the endpoint logs.

    Raises:
        RuntimeError: the generator of requests failed, which says nothing of the model.
    """
    spec = dataclasses.replace(
        deploy,
        host="127.0.0.1",
        port=0,
        token_file=None,
        threads=threads,
        max_answer_ms=PATIENCE_S * 1000,  # how slow it is shall be measured, not refused
    )
    facts: dict[str, Any] = {"schema_version": 1, "rate_per_s": rate_per_s, "threads": threads}
    with tempfile.TemporaryDirectory(prefix="headgate-trial-") as temporary:
        place = Path(temporary)
        state_file = place / "endpoint.json"
        try:
            folder, public_key = _private_release(name, bundle, place)
            state = process.start(folder, public_key, spec, state_file, log)
        except (process.EndpointError, ReleaseRefused) as error:
            return {**facts, "problem": str(error)}
        try:
            job = {"url": state.url, "texts": str(texts), "requests": requests, "rate_per_s": rate_per_s}
            found = _run_generator({**job, "seed": seed, "out": str(place / "out.json")}, place)
            try:
                served = get(state.url, "/version")[1].get("bundle_sha256")
            except NoAnswer as error:
                return {**facts, "problem": f"it no longer answers after the requests ({error})"}
            return {**found, **facts, "bundle_sha256": served, "peak_rss_mb": _peak_mib(state.pid)}
        finally:
            process.stop(state_file, wait_s=15)


def _private_release(name: str, bundle: Path, place: Path) -> tuple[Path, Path]:
    """(Release folder, public key): the bundle staged and pointed at, under keys of its own."""
    private_key, public_key = signing.ensure_key_pair(place / "keys")
    folder = ReleaseFolder(place / "releases" / name, name)
    manifest = ReleaseManifest(
        name=name,
        version=1,
        sequence=1,
        bundle_sha256=file_sha256(bundle / "manifest.json"),
        verdict=TRIAL,
        evidence={"purpose": "timed before it is judged; signed with a key of this measurement alone"},
    )
    folder.stage(bundle, manifest, private_key)
    folder.promote(1, private_key)
    return folder.path, public_key


def _run_generator(job: dict[str, Any], place: Path) -> dict[str, Any]:
    file = place / "job.json"
    file.write_text(json.dumps(job), encoding="utf-8")
    # A process of its own: this one's threads would make requests leave late.
    done = subprocess.run(
        [sys.executable, "-m", "serving.process.load_generator", str(file)],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=job["requests"] / job["rate_per_s"] + PATIENCE_S,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"the generator of requests ended with code {done.returncode}: "
            f"{(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}"
        )
    found: dict[str, Any] = json.loads(Path(job["out"]).read_text(encoding="utf-8"))
    return found


def _peak_mib(pid: int) -> float:
    """Peak resident set of the endpoint and its worker processes, in MiB (`VmHWM`)."""
    total_kib = 0
    for one in [pid, *_children(pid)]:
        lines = Path(f"/proc/{one}/status").read_text(encoding="utf-8").splitlines()
        total_kib += next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return total_kib / 1024


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(child) for child in text.split()]
