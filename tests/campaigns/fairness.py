"""Small requests beside large ones: 16 clients ask for 64 texts each without pause, others for one.

Requests of one text are sent on schedule, first alone, then while the large ones come: none may be refused,
and their 95th percentile may be at most three times the quiet one. The large ones must be answered, too. The
model is a toy whose passes take time by the text, or any bundle (`--bundle FOLDER`).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from serving.process.load_generator import LoadJob, ask_over_http, offer
from serving.spec import DeploySpec
from tests.support.contract import Report, Size, run
from tests.support.heavy_load import heavy_load
from tests.support.measures import Measure, at_least, at_most
from tests.support.open_endpoint import OpenEndpoint, open_bundle, open_endpoint
from tests.support.toy_bundle import GOLDEN_TEXTS, work_of

GOAL = "no small request is refused; p95 ≤ 3 × quiet"
QUICK_S, WHOLE_S = 18, 75
SIZES = {"requests": Size(300, 50, "requests of one text, alone and beside the large ones")}
RATE_PER_S = 10.0
"""Requests of one text a second."""
CLIENTS, TEXTS = 16, 64
"""The large ones: clients, and texts of each request."""
TEXT_MS = 1.5
"""What the toy takes for each text, on one core."""
SLOWER = 3.0
RATIO = "p95 beside large ones by quiet"
SPEC = DeploySpec(port=0, start_timeout_s=60)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--bundle`, `--threads`."""
    parser.add_argument("--bundle", type=Path, help="serve this bundle instead of the toy")
    parser.add_argument("--threads", type=int, default=SPEC.threads, help="threads of the model")


def small_requests(url: str, requests: int) -> dict[str, Any]:
    """What `offer` found."""
    job = LoadJob(url=url, texts=Path(), out=Path(), requests=requests, rate_per_s=RATE_PER_S)
    return offer(job, GOLDEN_TEXTS, ask_over_http(url))


def beside_large_ones(endpoint: OpenEndpoint, requests: int) -> list[Measure]:
    """Small requests alone and beside large ones; figures."""
    url = endpoint.state.url
    quiet = small_requests(url, requests)
    with heavy_load(url, clients=CLIENTS, texts=TEXTS) as heavy:
        time.sleep(1)
        begin = time.monotonic()
        loaded = small_requests(url, requests)
        seconds = time.monotonic() - begin
    statuses = Counter(loaded["status"])
    quiet_p95, loaded_p95 = (float(np.percentile(found["latency_ms"], 95)) for found in (quiet, loaded))
    return [
        Measure("p95 of one text, quiet", quiet_p95, "ms"),
        Measure("p95 of one text, beside large ones", loaded_p95, "ms"),
        Measure(RATIO, loaded_p95 / quiet_p95, "×", at_most(SLOWER)),
        Measure("one text: asked", requests, ""),
        Measure("one text: not answered 200", requests - statuses[200], "", at_most(0)),
        Measure("64 texts: answered 200", heavy[200], "", at_least(1)),
        Measure("64 texts: answered 503", heavy[503], ""),
        Measure("64 texts: answered otherwise", heavy.total() - heavy[200] - heavy[503], "", at_most(0)),
        Measure("texts answered a second", (heavy[200] * TEXTS + statuses[200]) / (seconds + 1), "texts/s"),
    ]


def measure(options: argparse.Namespace) -> Report:
    """Small requests alone, then beside large ones."""
    spec = replace(SPEC, threads=options.threads)
    with contextlib.ExitStack() as stack:
        served = (
            open_endpoint(spec, text_work=work_of(TEXT_MS))
            if options.bundle is None
            else open_bundle(options.bundle, spec)
        )
        measures = beside_large_ones(stack.enter_context(served), options.requests)
    if options.quick:
        reason = "a percentile of a few requests says little, least on a busy machine"
        measures = [replace(m, undecided=reason) if m.name == RATIO else m for m in measures]
    return Report(measures)


if __name__ == "__main__":
    sys.exit(run(measure))
