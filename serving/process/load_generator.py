"""Asks an endpoint on a schedule, whatever it answers and however late: an open loop.

    python -m serving.process.load_generator JOB.json

JOB.json: {"url": URL, "texts": FILE.jsonl, "requests": 150, "rate_per_s": 25.0, "seed": 17, "out": FILE.json}

Request i is due i / rate seconds after the start. Its latency is counted from then, not from when it was
sent: a client that waits for a slow reply before it asks again would leave out what its other callers had
to wait meanwhile (Schroeder, Wierman & Harchol-Balter 2006, NSDI). Each request is one text, drawn from the
file, on a connection of its own.

The file written, times in milliseconds, one entry a request in the order in which they were due:

    {"schema_version": 1, "unit": "ms", "rate_per_s", "seed", "text": […], "late_ms": […],
     "latency_ms": […], "status": […], "version": […]}

`late_ms` is by how much the request left after it was due: this process's own fault, contained in
`latency_ms`. `status` is 0 where no reply came; its latency is then the wait for it. Does not judge.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.files import read_json, write_json
from serving.client import request
from serving.errors import NoAnswer
from serving.http.middleware import VERSION_HEADER

MOST_AT_ONCE = 256
"""Most requests under way. Beyond it a request leaves late, which shows in `late_ms`."""
PATIENCE_S = 10.0
"""Longest wait for one reply, in seconds."""
WARM_UP = 5
"""Requests before the schedule begins, which are not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadJob:
    """What to ask, and when."""

    url: str
    texts: Path
    """JSON lines, one string each."""
    out: Path
    requests: int
    rate_per_s: float
    seed: int = 17


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request."""

    late_ms: float
    latency_ms: float
    status: int
    version: str | None


def offer(
    job: LoadJob, texts: Sequence[str], send: Callable[[str], tuple[int, str | None]]
) -> dict[str, Any]:
    """Send the requests of a job on schedule; returns what the module's docstring describes.

    Args:
        texts: what to draw from, each text as often as every other, give or take one.
        send: asks for one text; gives status and version. Called from several threads.

    Raises:
        ValueError: there is no text, or a number is not above zero.
    """
    if not texts or job.requests < 1 or not job.rate_per_s > 0:
        raise ValueError(
            f"{len(texts)} texts, {job.requests} requests, {job.rate_per_s} a second: expected all above 0"
        )
    rng, drawn = random.Random(job.seed), list[int]()
    while len(drawn) < job.requests:
        drawn += rng.sample(range(len(texts)), min(len(texts), job.requests - len(drawn)))
    for line in drawn[:WARM_UP]:
        send(texts[line])
    gc.collect()
    gc.disable()  # a collection would be counted as the endpoint's time
    try:
        with ThreadPoolExecutor(max_workers=min(MOST_AT_ONCE, job.requests)) as pool:
            start_s = time.perf_counter() + 0.05
            waiting: list[Future[Reply]] = []
            for number, line in enumerate(drawn):
                due_s = start_s + number / job.rate_per_s
                time.sleep(max(0.0, due_s - time.perf_counter()))
                waiting.append(pool.submit(_timed, due_s, texts[line], send))
            replies = [one.result() for one in waiting]
    finally:
        gc.enable()
    return {
        "schema_version": 1,
        "unit": "ms",
        "rate_per_s": job.rate_per_s,
        "seed": job.seed,
        "text": drawn,
        "late_ms": [reply.late_ms for reply in replies],
        "latency_ms": [reply.latency_ms for reply in replies],
        "status": [reply.status for reply in replies],
        "version": [reply.version for reply in replies],
    }


def _timed(due_s: float, text: str, send: Callable[[str], tuple[int, str | None]]) -> Reply:
    left_s = time.perf_counter()
    status, version = send(text)
    back_s = time.perf_counter()
    return Reply((left_s - due_s) * 1000, (back_s - due_s) * 1000, status, version)


def ask_over_http(url: str) -> Callable[[str], tuple[int, str | None]]:
    """Asks `POST /predict` for one text: status (0 where no reply came) and the version that answered."""

    def send(text: str) -> tuple[int, str | None]:
        try:
            status, headers, _ = request(url, "POST", "/predict", {"texts": text}, timeout_s=PATIENCE_S)
        except NoAnswer:
            return 0, None
        return status, headers.get(VERSION_HEADER.lower())

    return send


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one job."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.process.load_generator", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("job", type=Path, help="job file, JSON")
    raw: Mapping[str, Any] = read_json(parser.parse_args(arguments).job)
    job = LoadJob(**{**raw, "texts": Path(raw["texts"]), "out": Path(raw["out"])})
    # Not splitlines, which also cuts at separators that a JSON string may hold.
    lines = job.texts.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    found = offer(job, [json.loads(line) for line in lines], ask_over_http(job.url))
    write_json(job.out, found, indent=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
