"""One bundle through HTTP, beside MLServer, BentoML and `mlflow models serve`.

In turns: each server answers one client, then 64 connections, and before each turn the engine answers 64
texts in batches of similar length. Beside other work, processor time tells more than rates. MLServer and
BentoML get environments of their own (--peers FOLDER keeps them); one that can't be installed is left out
with the reason. --quick has a tiny encoder and no peers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.parts.served import THREADS, endpoint
from model.bundle.reader import Bundle
from tests.support.contract import Report, Size, run
from tests.support.made_models import make_bundle, random_encoder, some_heads, texts
from tests.support.many_clients import ask_at_once, http_request, median
from tests.support.measures import Measure, at_least, undecided
from tests.support.peer_servers import Server, mlflow_server, peer_server, processor_s

GOAL = "64 connections ≥ 0.8 × the engine's batches; ≥ 3 × the best peer"
QUICK_S, WHOLE_S = 15, 600
SIZES = {
    "turns": Size(5, 2, "turns of each server"),
    "seconds": Size(4, 1, "seconds at 64 connections a turn"),
}
AT_ONCE = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that `--quick` leaves alone."""
    parser.add_argument("--peers", type=Path, help="folder where the peers' environments are kept")
    parser.add_argument("--precision", default="auto", help="of the bundle (default auto)")


def measure(options: argparse.Namespace) -> Report:
    """Make the bundle, start the servers, race them."""
    left_out: list[Measure] = []
    with tempfile.TemporaryDirectory(prefix="headgate-speed-") as temporary, contextlib.ExitStack() as stack:
        place = Path(temporary)
        encoder = random_encoder(1, 32) if options.quick else None
        folder = make_bundle(place, "shared", some_heads(4), encoder, precision=options.precision)
        bundle = Bundle.load(folder, threads=1, at_once=THREADS, verify=False)
        port = stack.enter_context(endpoint(folder, place / "serve")).port
        servers = {"headgate": Server(port, "/predict", '{"texts": [', "]}")}
        for name in () if options.quick else ("mlflow", "mlserver", "bentoml"):
            try:
                if name == "mlflow":
                    peer = mlflow_server(folder, place / name, THREADS)
                else:
                    peer = peer_server(folder, place / name, name, THREADS, options.peers)
                servers[name] = stack.enter_context(peer)
            except (RuntimeError, OSError) as error:
                left_out.append(Measure(f"{name}: texts/s", None, undecided=str(error)[:120]))
        batches, rates, alone_ms = [], {name: [] for name in servers}, {name: [] for name in servers}
        batch_ms, spent_ms = [], {name: [] for name in servers}
        asked = texts(200)
        tokens = bundle.token_ids(texts(AT_ONCE))
        for _ in range(options.turns):
            for name, at in servers.items():
                requests = [
                    http_request(at.route, f"{at.before}{json.dumps(t)}{at.after}".encode()) for t in asked
                ]
                begin, spent = time.perf_counter(), time.process_time()
                bundle.logits_of(tokens)
                batches.append(AT_ONCE / (time.perf_counter() - begin))
                batch_ms.append((time.process_time() - spent) * 1000 / AT_ONCE)
                alone_ms[name] += ask_at_once(at.port, requests, connections=1, seconds=1)[1]
                steady: list[float] = []
                several = ask_at_once(
                    at.port,
                    requests,
                    connections=AT_ONCE,
                    seconds=options.seconds,
                    on_steady=lambda port=at.port, steady=steady: steady.append(processor_s(port)),
                )
                spent_ms[name].append((processor_s(at.port) - steady[0]) * 1000 / len(several[1]))
                rates[name].append(several[0])
    found = [Measure(f"{name}: one client, p50", median(ms), "ms") for name, ms in alone_ms.items()]
    found += [Measure(f"{name}: 64 connections", median(each), "/s") for name, each in rates.items()]
    found += [Measure(f"{name}: processor time a text", median(ms), "ms") for name, ms in spent_ms.items()]
    found.append(Measure("batches: processor time a text", median(batch_ms), "ms"))
    ours, kept, cost = median(rates.pop("headgate")), bundle.card.precision, median(spent_ms.pop("headgate"))
    found.append(
        Measure(f"64 connections against batches, {kept}", ours / median(batches), "×", at_least(0.8))
    )
    found.append(Measure("the same in processor time", median(batch_ms) / cost, "×"))
    if rates:
        best, least = max(map(median, rates.values())), min(map(median, spent_ms.values()))
        found.append(Measure("64 connections against the best peer", ours / best, "×", at_least(3)))
        found.append(Measure("the same in processor time", least / cost, "×"))
    return Report([*undecided(found, "the encoder is tiny")] if options.quick else found + left_out)


if __name__ == "__main__":
    sys.exit(run(measure))
