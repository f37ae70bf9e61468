"""What one text costs: shared against single-head bundles, against torch, and through HTTP.

    python -m benchmarks.latency [--blocks 30] [--without-mlflow]

One run, interleaved: in each block every contender answers the same ten texts, one at a time, at two threads,
the order drawn anew; nobody else works meanwhile. Ratios are of the sums of the blocks' medians. Contenders:
a bundle with 4 heads, a second process of it (the A/A control), four bundles with one head each, torch
float32 eager with the 4 heads, the endpoint that serves the 4-head bundle (one client, one connection), and
`mlflow models serve` on the same version. Bundles are int8 on the packaged encoder (22.7M parameters).
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from model.files import file_sha256
from serving.process import control as process
from serving.spec import DeploySpec
from serving.store import signing
from serving.store.manifest import ReleaseManifest
from serving.store.release_folder import ReleaseFolder
from tests.support.machine import describe_machine
from tests.support.made_models import make_bundle, some_heads, texts
from tests.support.result import Goal, Measure, at_most, report

THREADS = 2
BLOCK = 10
"""Texts that each contender answers before the next has its turn."""
ROOT = Path(__file__).resolve().parent.parent
PASS = {
    "gate": "benchmark",
    "findings": [{"subject": "latency", "outcome": "pass", "reason": "measured here", "figures": {}}],
}

Ask = Callable[[list[str]], list[float]]
"""Answers texts one after another; milliseconds of each."""


@contextlib.contextmanager
def worker(module: str, folder: Path) -> Iterator[Ask]:
    """A process that answers texts: `model.measure.timing_worker` or `benchmarks.torch_worker`."""
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
            child.stdout.read()  # its farewell, or it would complain of a broken pipe


def over_http(host: str, port: int, route: str, body: Callable[[str], dict[str, Any]]) -> Ask:
    """A client with one connection, opened anew for each block: while the others had their turn, the server
    may have closed it. Opening is paid by the first text, which is not kept."""
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


@contextlib.contextmanager
def mlflow_server(bundle: Path, place: Path) -> Iterator[int]:
    """`mlflow models serve` on the bundle as it is registered; gives its port."""
    from mlflow.models import Model

    from release.registry import model as pyfunc

    (place / "code").mkdir(parents=True)
    shutil.copytree(bundle, place / "bundle")
    pyfunc.save(place / "bundle", place / "model", place / "code", Model())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": str(THREADS),
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(place / "model")]
    command += ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(port), "--workers", "1"]
    with (place / "mlflow.log").open("w") as log:
        child = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, cwd=place, start_new_session=True
        )
        try:
            _wait_for(port, child, place / "mlflow.log")
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, 15)
            child.wait(timeout=20)


def _wait_for(port: int, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/ping")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.3)
    raise RuntimeError(f"`mlflow models serve` did not come up: {log.read_text()[-500:]}")


def race(contenders: dict[str, Ask], blocks: int, seed: int = 17) -> dict[str, np.ndarray[Any, Any]]:
    """Contender → `(blocks, BLOCK)` milliseconds, after two blocks that are not kept."""
    dice, asked = random.Random(seed), texts(200)
    taken: dict[str, list[list[float]]] = {name: [] for name in contenders}
    for number in range(blocks + 2):
        block = dice.sample(asked, BLOCK)
        for name in dice.sample(sorted(contenders), len(contenders)):
            # One text before those that count: nobody pays for the caches that another one emptied.
            times_ms = contenders[name]([block[0], *block])[1:]
            if number >= 2:
                taken[name].append(times_ms)
    return {name: np.array(rows) for name, rows in taken.items()}


def measures_of(times: dict[str, np.ndarray[Any, Any]], heads: list[str]) -> list[Measure]:
    """Ratios and costs, with the goals of the release."""
    block_ms = {name: np.median(rows, axis=1) for name, rows in times.items()}
    singles = [f"bundle, {head} alone" for head in heads]
    four = sum(block_ms[name] for name in singles)

    def ratio(other: Any, name: str, goal: Goal | None) -> Measure:
        return Measure(name, float(block_ms["bundle, 4 heads"].sum() / np.sum(other)), "×", goal)

    found = [Measure(f"{name}: p50", float(np.median(rows)), "ms") for name, rows in times.items()]
    found += [
        ratio(block_ms["bundle, 4 heads again"], "A/A control: against a second process of itself", None),
        ratio(four / len(singles), "4 heads against one single-head bundle", at_most(1.1)),
        ratio(four, "4 heads against four single-head bundles", at_most(0.3)),
        ratio(block_ms["torch float32 eager, 4 heads"], "4 heads against torch float32 eager", at_most(0.4)),
    ]
    alone = float(np.median(times["bundle, 4 heads"]))
    served = float(np.median(times["endpoint, over HTTP"]))
    found.append(Measure("HTTP cost over the bundle, one client, p50", served - alone, "ms", at_most(2.0)))
    if "mlflow models serve" in times:
        theirs = float(np.median(times["mlflow models serve"]))
        found.append(Measure("the same for `mlflow models serve`", theirs - alone, "ms"))
        found.append(Measure("endpoint against `mlflow models serve`", served / theirs, "×", at_most(1.0)))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Make the bundles, race them, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__.split("\n")[0])
    parser.add_argument("--blocks", type=int, default=30, help="blocks of ten texts each")
    parser.add_argument("--without-mlflow", action="store_true", help="leave `mlflow models serve` out")
    given = parser.parse_args(arguments)
    machine, heads = describe_machine(), some_heads(4)
    with (
        tempfile.TemporaryDirectory(prefix="headgate-latency-") as temporary,
        contextlib.ExitStack() as stack,
    ):
        place = Path(temporary)
        shared = make_bundle(place, "shared", heads)
        contenders: dict[str, Ask] = {}
        for name, head in heads.items():
            bundle = make_bundle(place, name, {name: head})
            contenders[f"bundle, {name} alone"] = stack.enter_context(
                worker("model.measure.timing_worker", bundle)
            )
        for name in ("bundle, 4 heads", "bundle, 4 heads again"):
            contenders[name] = stack.enter_context(worker("model.measure.timing_worker", shared))
        contenders["torch float32 eager, 4 heads"] = stack.enter_context(
            worker("benchmarks.torch_worker", place / "shared" / "fitted")
        )
        state = stack.enter_context(endpoint(shared, place / "serve"))
        contenders["endpoint, over HTTP"] = over_http(
            "127.0.0.1", state.port, "/predict", lambda text: {"texts": [text]}
        )
        if not given.without_mlflow:
            port = stack.enter_context(mlflow_server(shared, place / "mlflow"))
            contenders["mlflow models serve"] = over_http(
                "127.0.0.1", port, "/invocations", lambda text: {"inputs": [text]}
            )
        times = race(contenders, given.blocks)
    return report("latency", measures_of(times, list(heads)), machine)


if __name__ == "__main__":
    sys.exit(main())
