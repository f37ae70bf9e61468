"""Processes that answer texts: a bundle's, torch's, the endpoint."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from model.files import file_sha256
from serving.process import control as process
from serving.spec import DeploySpec
from serving.store import signing
from serving.store.manifest import ReleaseManifest
from serving.store.release_folder import ReleaseFolder

THREADS = 2
ROOT = Path(__file__).resolve().parents[2]
PASS = {
    "gate": "benchmark",
    "findings": [{"subject": "latency", "outcome": "pass", "reason": "measured here", "figures": {}}],
}
Ask = Callable[[list[str]], list[float]]
"""Answers texts one after another; milliseconds of each."""


@contextlib.contextmanager
def worker(module: str, folder: Path) -> Iterator[Ask]:
    """A process that answers texts: `model.measure.timing_worker` or `benchmarks.parts.torch_worker`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}
    environment["OMP_NUM_THREADS"] = str(THREADS)
    with subprocess.Popen(
        [sys.executable, "-m", module, str(folder), "--threads", str(THREADS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()

        def ask(asked: list[str]) -> list[float]:
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write(json.dumps({"texts": asked}) + "\n")
            child.stdin.flush()
            return list(json.loads(child.stdout.readline())["total_ms"])

        try:
            yield ask
        finally:
            child.stdin.close()
            child.stdout.read()  # its last line, or it would fail on a broken pipe


def over_http(host: str, port: int, route: str, body: Callable[[str], dict[str, Any]]) -> Ask:
    """A client with one connection, opened anew for each block: the server may have closed it meanwhile. The
    first text pays for the opening and is not kept."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    headers = {"Content-Type": "application/json"}

    def ask(asked: list[str]) -> list[float]:
        connection.close()
        times_ms = []
        for text in asked:
            data = json.dumps(body(text))
            begin = time.perf_counter_ns()
            connection.request("POST", route, data, headers)
            reply = connection.getresponse()
            reply.read()
            times_ms.append((time.perf_counter_ns() - begin) / 1e6)
            if reply.status != 200:
                raise RuntimeError(f"{route}: status {reply.status}")
        return times_ms

    return ask


@contextlib.contextmanager
def endpoint(bundle: Path, place: Path) -> Iterator[process.EndpointState]:
    """The endpoint on a release of this bundle, signed with a key of this run."""
    private, public = signing.ensure_key_pair(place / "keys")
    folder = ReleaseFolder(place / "releases" / "shared", "shared")
    manifest = ReleaseManifest(
        name="shared",
        version=1,
        sequence=1,
        bundle_sha256=file_sha256(bundle / "manifest.json"),
        verdict=PASS,
    )
    folder.stage(bundle, manifest, private)
    folder.promote(1, private)
    state_file = place / "endpoint.json"
    spec = DeploySpec(port=0, threads=THREADS)
    try:
        yield process.start(folder.path, public, spec, state_file, place / "endpoint.log")
    finally:
        process.stop(state_file, wait_s=10)
