"""One bundle through HTTP, beside MLServer, BentoML and `mlflow models serve`.

In turns: each server answers one client, then 64 connections, and before each turn the engine answers a batch
of 64. MLServer and BentoML get environments of their own; one that can't be installed is left out with the
reason. --quick has a tiny encoder and no peers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.parts.served import THREADS, endpoint, mlflow_server
from model.bundle.reader import Bundle
from tests.support.contract import Report, Size, run
from tests.support.made_models import make_bundle, random_encoder, some_heads, texts
from tests.support.many_clients import ask_at_once, http_request, median
from tests.support.measures import Measure, at_least, undecided
from tests.support.peer_servers import Server, peer_server

GOAL = "64 connections ≥ 0.8 × the engine's batches; ≥ 3 × the best peer"
QUICK_S, WHOLE_S = 15, 600
SIZES = {
    "turns": Size(5, 2, "turns of each server"),
    "seconds": Size(4, 1, "seconds at 64 connections a turn"),
}
AT_ONCE = 64


def measure(options: argparse.Namespace) -> Report:
    """Make the bundle, start the servers, race them."""
    left_out: list[Measure] = []
    with tempfile.TemporaryDirectory(prefix="headgate-speed-") as temporary, contextlib.ExitStack() as stack:
        place = Path(temporary)
        encoder = random_encoder(1, 32) if options.quick else None
        folder = make_bundle(place, "shared", some_heads(4), encoder, precision="auto")
        bundle = Bundle.load(folder, threads=THREADS, verify=False)
        port = stack.enter_context(endpoint(folder, place / "serve")).port
        servers = {"headgate": Server(port, "/predict", '{"texts": [', "]}")}
        for name in () if options.quick else ("mlflow", "mlserver", "bentoml"):
            try:
                if name == "mlflow":
                    port = stack.enter_context(mlflow_server(folder, place / name))
                    servers[name] = Server(port, "/invocations", '{"inputs": [', "]}")
                else:
                    servers[name] = stack.enter_context(peer_server(folder, place / name, name, THREADS))
            except (RuntimeError, OSError) as error:
                left_out.append(Measure(f"{name}: texts/s", None, undecided=str(error)[:120]))
        batches, rates, alone_ms = [], {name: [] for name in servers}, {name: [] for name in servers}
        asked, encoding = texts(200), bundle.encode(texts(AT_ONCE))
        for _ in range(options.turns):
            for name, at in servers.items():
                requests = [
                    http_request(at.route, f"{at.before}{json.dumps(t)}{at.after}".encode()) for t in asked
                ]
                begin = time.perf_counter()
                bundle.run(encoding)
                batches.append(AT_ONCE / (time.perf_counter() - begin))
                alone_ms[name] += ask_at_once(at.port, requests, connections=1, seconds=1)[1]
                several = ask_at_once(at.port, requests, connections=AT_ONCE, seconds=options.seconds)
                rates[name].append(several[0])
    found = [Measure(f"{name}: one client, p50", median(ms), "ms") for name, ms in alone_ms.items()]
    found += [Measure(f"{name}: 64 connections", median(each), "/s") for name, each in rates.items()]
    ours, kept = median(rates.pop("headgate")), bundle.card.precision
    found.append(
        Measure(f"64 connections against batches, {kept}", ours / median(batches), "×", at_least(0.8))
    )
    if rates:
        best = max(map(median, rates.values()))
        found.append(Measure("64 connections against the best peer", ours / best, "×", at_least(3)))
    return Report([*undecided(found, "the encoder is tiny")] if options.quick else found + left_out)


if __name__ == "__main__":
    sys.exit(run(measure))
