"""What one text costs: shared against single-head bundles, against torch, and through HTTP.

One run, interleaved: in each block every contender answers ten texts, one at a time, at two threads, the
order drawn anew; the others wait. Ratios are of the sums of the blocks' medians. Contenders: a bundle with
4 heads, a second process of it (the A/A control), four bundles with one head each, torch float32 eager with
the 4 heads, the endpoint that serves the 4-head bundle (one client, one connection), and `mlflow models
serve` on that version. Bundles are int8 on the packaged encoder (22.7M parameters); with --quick on a tiny
one, without MLflow.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.parts.served import THREADS, Ask, endpoint, over_http, worker
from tests.support.contract import Report, Size, run
from tests.support.made_models import make_bundle, random_encoder, some_heads, texts
from tests.support.measures import Goal, Measure, at_most, undecided
from tests.support.peer_servers import mlflow_server

GOAL = "4 heads ≤ 1.1 × one head, ≤ 0.4 × torch; HTTP ≤ 2 ms, ≤ MLflow's"
QUICK_S, WHOLE_S = 20, 240
SIZES = {"blocks": Size(30, 3, "blocks of ten texts each")}
BLOCK = 10
"""Texts that each contender answers before the next has its turn."""
Times = np.ndarray[Any, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who races."""
    parser.add_argument("--without-mlflow", action="store_true", help="leave `mlflow models serve` out")


def measure(options: argparse.Namespace) -> Report:
    """Make the bundles and race them."""
    heads = some_heads(4)
    with (
        tempfile.TemporaryDirectory(prefix="headgate-latency-") as temporary,
        contextlib.ExitStack() as stack,
    ):
        place = Path(temporary)

        def bundle(name: str, part: dict[str, Any]) -> Path:
            return make_bundle(place, name, part, random_encoder(1, 32) if options.quick else None)

        def timed(module: str, folder: Path) -> Ask:
            return stack.enter_context(worker(module, folder))

        shared = bundle("shared", heads)
        contenders = {
            f"bundle, {name} alone": timed("model.measure.timing_worker", bundle(name, {name: head}))
            for name, head in heads.items()
        }
        for name in ("bundle, 4 heads", "bundle, 4 heads again"):
            contenders[name] = timed("model.measure.timing_worker", shared)
        contenders["torch float32 eager, 4 heads"] = timed(
            "benchmarks.parts.torch_worker", place / "shared" / "fitted"
        )
        state = stack.enter_context(endpoint(shared, place / "serve"))
        contenders["endpoint, over HTTP"] = over_http(
            "127.0.0.1", state.port, "/predict", lambda text: {"texts": [text]}
        )
        if not options.without_mlflow and not options.quick:
            port = stack.enter_context(mlflow_server(shared, place / "mlflow", THREADS)).port
            contenders["mlflow models serve"] = over_http(
                "127.0.0.1", port, "/invocations", lambda text: {"inputs": [text]}
            )
        times = race(contenders, options.blocks)
    measures = measures_of(times, list(heads))
    small = "the encoder is tiny"
    return Report(list(undecided(measures, small)) if options.quick else measures)


def race(contenders: dict[str, Ask], blocks: int, seed: int = 17) -> dict[str, Times]:
    """Contender → `(blocks, BLOCK)` milliseconds, after two blocks that are not kept."""
    rng, asked = random.Random(seed), texts(200)
    taken: dict[str, list[list[float]]] = {name: [] for name in contenders}
    for number in range(blocks + 2):
        block = rng.sample(asked, BLOCK)
        for name in rng.sample(sorted(contenders), len(contenders)):
            # One text before those that count: it fills the caches that another contender emptied.
            times_ms = contenders[name]([block[0], *block])[1:]
            if number >= 2:
                taken[name].append(times_ms)
    return {name: np.array(rows) for name, rows in taken.items()}


def measures_of(times: dict[str, Times], heads: list[str]) -> list[Measure]:
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
        found.append(Measure("cost of `mlflow models serve` over the bundle, p50", theirs - alone, "ms"))
        found.append(Measure("endpoint against `mlflow models serve`", served / theirs, "×", at_most(1.0)))
    return found


if __name__ == "__main__":
    sys.exit(run(measure))
