"""Time a candidate through HTTP before anything is promoted: a private endpoint, an open loop of requests.

The endpoint serves what is signed with the key that it was given: a key that is made for this measurement,
whose private half is gone before the endpoint starts. No other endpoint trusts that key, so what is signed
here serves nowhere else, and the key of the project signs nothing that did not pass.

The endpoint ends with the process that measures, however that ends; the folder that is left then is named
like whatever is being written, so that the next start removes it (`release.leftovers`).
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import HeadgateError
from model.files import file_sha256, read_json, unfinished_prefix, write_json
from model.measure.machine import BusyMeter, cores, wait_for_quiet
from serving.client import get
from serving.errors import EndpointError, NoAnswer
from serving.process import control
from serving.processes import cpu_seconds, peak_resident_mib
from serving.spec import DeploySpec
from serving.store import signing
from serving.store.manifest import ReleaseManifest, ReleaseRefused
from serving.store.release_folder import ReleaseFolder

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""Where the package `serving` is found."""
TRIAL = {
    "gate": "trial",
    "findings": [{"subject": "trial", "outcome": "pass", "reason": "private, for measuring", "figures": {}}],
}
"""The verdict under which the private endpoint serves. Worth nothing elsewhere: see the docstring above."""
TRIAL_FOLDER = "trial"
"""What the folder of a measurement is called while it is written to."""
STATE_FILE = "endpoint.json"
"""State file of the private endpoint, in that folder."""
PATIENCE_S = 60.0
"""Added to the length of the schedule before the generator counts as hung, in seconds."""
END_S = 15.0
"""How long the private endpoint may take to end, in seconds."""


class LoadFailed(HeadgateError):
    """The generator of requests failed; nothing was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTimingJob:
    """What to time through HTTP, and how."""

    name: str
    """Project, which the private release is made out to."""
    bundle: Path
    """Folder of the candidate's bundle."""
    deploy: DeploySpec
    """How the real endpoint is started; host, port, threads and token are left aside."""
    texts: Path
    """JSON lines of the test texts."""
    requests: int
    """How many requests."""
    rate_per_s: float
    """Requests a second."""
    threads: int
    """CPU threads of the model."""
    seed: int
    """Of the texts drawn."""
    log: Path
    """Where the endpoint logs."""
    folder: Path
    """Folder of the state folder in which the private release lies while it is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often it is measured again where a busy machine kept the timings from deciding."""

    looks: int = 1
    """Most measurements."""
    wait_s: float = 0.0
    """Longest wait for a quiet machine between them, in seconds, all together."""
    again: Callable[[Mapping[str, Any]], bool] = lambda found: False
    """Whether these timings are worth another look."""
    say: Callable[[str], None] = lambda line: None
    """Told why it waits."""


def measure_patiently(job: HttpTimingJob, patience: Patience) -> dict[str, Any]:
    """As `measure_http`, at most `patience.looks` times; the last one counts, `look` says which it is.

    Raises:
        LoadFailed: the generator of requests failed, which is no fault of the model.
    """
    found, left_s = {**measure_http(job), "look": 1}, patience.wait_s
    for look in range(2, patience.looks + 1):
        if not patience.again(found):
            break
        left_s -= wait_for_quiet(job.threads, left_s, patience.say)
        found = {**measure_http(job), "look": look}
    return found


def measure_http(job: HttpTimingJob) -> dict[str, Any]:
    """Latency through HTTP at the declared rate and the endpoint's memory, for `expectations.gates.http`.

    Where nothing was served, `problem` stands instead of the columns.

    Raises:
        LoadFailed: the generator of requests failed, which is no fault of the model.
    """
    spec = dataclasses.replace(
        job.deploy,
        host="127.0.0.1",
        port=0,
        token_file=None,
        threads=job.threads,
        max_answer_ms=PATIENCE_S * 1000,  # a slow bundle is to be measured, not refused
    )
    facts: dict[str, Any] = {"schema_version": 1, "rate_per_s": job.rate_per_s, "threads": job.threads}
    job.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=unfinished_prefix(TRIAL_FOLDER), dir=job.folder) as temporary:
        place = Path(temporary)
        state_file = place / STATE_FILE
        try:
            folder, public_key = _private_release(job.name, job.bundle, place)
            state = control.start(folder, public_key, spec, state_file, job.log, outlives=False)
        except (EndpointError, ReleaseRefused) as error:
            return {**facts, "problem": str(error)}
        try:
            meter, own_s = BusyMeter(), _own_cpu_s(state.pid)
            found = _run_generator(job, state.url, place)
            facts |= {"busy_cores": meter.others(_own_cpu_s(state.pid) - own_s), "cores": cores()}
            try:
                served = get(state.url, "/version")[1].get("bundle_sha256")
            except NoAnswer as error:
                return {**facts, "problem": f"it does not answer after the requests ({error})"}
            return {**found, **facts, "bundle_sha256": served, "peak_rss_mb": peak_resident_mib(state.pid)}
        finally:
            control.stop(state_file, wait_s=END_S)


def _own_cpu_s(endpoint: int) -> float:
    """Processor time of this process, of those that it waited for and of the endpoint, in seconds."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system + cpu_seconds(endpoint)


def _private_release(name: str, bundle: Path, place: Path) -> tuple[Path, Path]:
    """(Release folder, public key): the bundle staged and pointed at, under keys of its own. The private key
    is gone then: nothing else can be signed with it."""
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
    private_key.unlink()
    return folder.path, public_key


def _run_generator(job: HttpTimingJob, url: str, place: Path) -> dict[str, Any]:
    out = place / "out.json"
    load = {"url": url, "texts": str(job.texts), "requests": job.requests, "rate_per_s": job.rate_per_s}
    write_json(place / "load.json", {**load, "seed": job.seed, "out": str(out)})
    # A process of its own: this one's threads would make requests leave late.
    done = subprocess.run(
        [sys.executable, "-m", "serving.process.load_generator", str(place / "load.json")],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=job.requests / job.rate_per_s + PATIENCE_S,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it wrote no reason"])[-1]
        raise LoadFailed(f"the generator of requests ended with code {done.returncode}: {last}")
    found: dict[str, Any] = read_json(out)
    return found
