"""A candidate is timed through a private endpoint that nothing else knows, and that leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expectations.gates.http import http_timings_from_json, judge_http
from expectations.spec import GateRules
from model.files import process_space
from release.home import Home
from release.leftovers import remove_leftovers
from serving.client import get
from serving.errors import NoAnswer
from serving.process import control, http_timing
from serving.process.http_timing import HttpTimingJob, Patience, measure_http, measure_patiently
from serving.spec import DeploySpec
from serving.store.manifest import ReleaseRefused, verify_release
from serving.store.signing import PRIVATE_KEY, ensure_key_pair
from serving.waiting import wait_until
from tests.support.toy_bundle import work_of

RULES = GateRules(http_requests=80, http_rate_per_s=40.0, latency_threads=1)
Write = Callable[..., str]


def toy_job(place: Path, **given: Any) -> HttpTimingJob:
    """One thread, with everything below `place`."""
    usual = {
        "name": "toy",
        "bundle": place / "bundle",
        "deploy": DeploySpec(port=0, threads=1),
        "texts": place / "texts.jsonl",
        "threads": RULES.latency_threads,
        "seed": 3,
        "log": place / "http.log",
        "folder": place / "run",
    }
    return HttpTimingJob(**usual | given)


@pytest.fixture
def measure(tmp_path: Path, deploy_spec: DeploySpec) -> Callable[[Path], dict[str, Any]]:
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps(text) + "\n" for text in ("hello day", "late order", "rain")))

    def measure(bundle: Path) -> dict[str, Any]:
        return measure_http(
            toy_job(
                tmp_path,
                bundle=bundle,
                deploy=deploy_spec,
                requests=RULES.http_requests,
                rate_per_s=RULES.http_rate_per_s,
            )
        )

    return measure


def test_a_candidate_is_asked_at_the_declared_rate(
    measure: Callable[[Path], dict[str, Any]],
    write_bundle: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private = tmp_path / "private"
    private.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    digest = write_bundle(tmp_path / "bundle", 1)
    found = measure(tmp_path / "bundle")
    assert found["status"] == [200] * 80 and set(found["version"]) == {"1"}
    assert found["bundle_sha256"] == digest
    assert 40 < found["peak_rss_mb"] < 1000
    left = [*private.iterdir(), *(tmp_path / "run").iterdir()]
    assert left == [], "keys, release and endpoint of the measurement are gone"
    # The verdict follows from the figures, whatever this machine is doing now; sound ones never fail.
    verdict = judge_http(http_timings_from_json(found), RULES, digest)
    assert verdict.outcome != "fail", verdict.reasons
    late = judge_http(
        http_timings_from_json(found), GateRules(http_rate_per_s=1.0, latency_threads=1), digest
    )
    assert late.outcome == "fail"


def test_what_a_bundle_takes_longer_than_the_schedule_allows_is_seen(
    measure: Callable[[Path], dict[str, Any]], write_bundle: Write, tmp_path: Path
) -> None:
    """Every answer takes longer than the 25 ms between two requests: the queue grows, and counts."""
    write_bundle(tmp_path / "bundle", 1, work=work_of(240))
    found = http_timings_from_json(measure(tmp_path / "bundle"))
    quick = GateRules(http_requests=80, http_rate_per_s=40.0, latency_threads=1, budget_p95_ms=50.0)
    assert judge_http(found, quick).findings[0].outcome != "pass"
    assert found.latency_ms.max() > 200


def test_a_bundle_that_cannot_serve_is_a_finding_and_no_crash(
    measure: Callable[[Path], dict[str, Any]], write_bundle: Write, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "bundle", 1)
    (tmp_path / "bundle" / "golden.json").write_text("{}")
    found = measure(tmp_path / "bundle")
    assert "golden.json" in found["problem"]
    assert judge_http(http_timings_from_json(found), RULES).outcome == "fail"


def test_the_private_release_serves_nowhere_else(write_bundle: Write, tmp_path: Path) -> None:
    """Carried away while it exists, it does not verify with any key but its own."""
    write_bundle(tmp_path / "bundle", 1)
    folder, own_key = http_timing._private_release("toy", tmp_path / "bundle", tmp_path / "trial")
    _, project_key = ensure_key_pair(tmp_path / "keys")
    stolen = Path(shutil.copytree(folder / "versions" / "1", tmp_path / "releases" / "versions" / "1"))
    assert verify_release(stolen, own_key, "toy").outcome == "pass"
    with pytest.raises(ReleaseRefused, match="signature does not fit"):
        verify_release(stolen, project_key, "toy")


def test_it_is_measured_again_as_long_as_that_is_worth_it(
    measure: Callable[[Path], dict[str, Any]], write_bundle: Write, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "bundle", 1)
    seen: list[int] = []

    def again(found: Any) -> bool:
        seen.append(found["look"])
        return len(seen) < 2

    job = toy_job(tmp_path, requests=20, rate_per_s=40.0)
    found = measure_patiently(job, Patience(looks=4, again=again))
    assert seen == [1, 2] and found["look"] == 2 and len(found["status"]) == 20
    assert 0 <= found["busy_cores"] <= found["cores"]


def test_killed_while_it_measures_it_leaves_no_endpoint_and_no_key(
    write_bundle: Write, tmp_path: Path
) -> None:
    """Killed like by the system that is out of memory: nothing of its own can tidy up."""
    write_bundle(tmp_path / "bundle", 1)
    (tmp_path / "texts.jsonl").write_text('"hello day"\n')
    home = Home(tmp_path / "home")
    job = toy_job(
        tmp_path, requests=400, rate_per_s=20.0, log=home.logs / "http.log", folder=home.runs / "run-1"
    )
    pid = os.fork()
    if pid == 0:
        measure_http(job)
        os._exit(0)
    try:
        running = wait_until(lambda: _private(job.folder), timeout_s=30, poll_s=0.05)
        assert running is not None and get(running.url, "/ready")[0] == 200
        assert not list(home.root.rglob(PRIVATE_KEY)), "nothing more can be signed"
        assert not list(Path(tempfile.gettempdir()).glob(f"*{pid}*"))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert wait_until(lambda: None if running.alive else True, timeout_s=10, poll_s=0.05)
    with pytest.raises(NoAnswer):
        get(running.url, "/ready")
    (said,) = remove_leftovers(home)
    assert said.startswith("removed .trial.") and list(job.folder.iterdir()) == []


def test_an_endpoint_that_outlives_its_measurement_is_stopped_by_the_sweep(
    write_bundle: Write, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "bundle", 1)
    home = Home(tmp_path / "home")
    place = home.runs / "run-1" / f".trial.{2**22 + 1}.{process_space()}_abc"
    folder, key = http_timing._private_release("toy", tmp_path / "bundle", place)
    spec = DeploySpec(port=0, threads=1)
    running = control.start(folder, key, spec, place / http_timing.STATE_FILE, tmp_path / "log")
    assert remove_leftovers(home) == [f"removed {place.name}"]
    assert not running.alive and not place.exists()


def _private(folder: Path) -> control.EndpointState | None:
    """The private endpoint of a measurement in `folder`, once it answers."""
    for file in folder.glob(f".trial.*/{http_timing.STATE_FILE}"):
        state = control.status(file)
        with contextlib.suppress(NoAnswer):
            if state is not None and get(state.url, "/ready")[0] == 200:
                return state
    return None
