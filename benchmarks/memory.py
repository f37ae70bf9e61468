"""Memory of an endpoint that serves nine heads on an encoder of DistilBERT's size.

The encoder has DistilBERT's shape (66M parameters, 6 layers of 768) and random weights: memory does not
depend on what they are. Packaged in int8 as a release is, served by the real endpoint, asked for texts of
mixed lengths one by one, in batches of 32, and by eight clients at once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from pathlib import Path

from benchmarks.parts.served import THREADS, endpoint
from serving.client import ask
from tests.support.contract import Report, Size, run
from tests.support.made_models import make_bundle, random_encoder, some_heads, texts
from tests.support.measures import Measure, at_most, undecided

GOAL = "at most 350 MB, at the peak too"
QUICK_S, WHOLE_S = 9, 120
SIZES = {"texts": Size(100, 10, "texts of each of three lengths")}
HEADS = 9
GOAL_MB = 350.0
"""Megabytes of 10^6 bytes: the stricter reading, 334 MiB."""
WAIT_S = 180.0
"""Longest wait for a reply: this is about memory, and the machine may be busy."""


def memory_mb(pid: int) -> dict[str, float]:
    """Resident set of a process now (`VmRSS`) and at its peak (`VmHWM`), in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return {name: value * 1024 / 1e6 for name, value in kib.items()}


def load(url: str, each: int) -> int:
    """Long and short texts, alone, in batches, and from several clients at once; how many were answered."""
    asked = [text for words in (12, 24, 90) for text in texts(each, words=words)]

    def ask_each(part: list[str]) -> None:
        for text in part:
            ask(url, text, timeout_s=WAIT_S)

    ask_each(asked[:each])
    for start in range(0, len(asked), 32):
        ask(url, asked[start : start + 32], timeout_s=WAIT_S)
    clients = [threading.Thread(target=ask_each, args=(asked[start::8],)) for start in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return each + 2 * len(asked)


def measure(options: argparse.Namespace) -> Report:
    """Make the bundle, serve it, ask it."""
    with tempfile.TemporaryDirectory(prefix="headgate-memory-") as temporary:
        place = Path(temporary)
        encoder = random_encoder(1, 32) if options.quick else random_encoder()
        parameters = sum(parameter.numel() for parameter in encoder.parameters())
        bundle = make_bundle(place, "nine", some_heads(HEADS), encoder)
        size_mb = sum(file.stat().st_size for file in bundle.iterdir()) / 1e6
        with endpoint(bundle, place / "serve") as state:
            idle = memory_mb(state.pid)
            answered = load(state.url, options.texts)
            busy = memory_mb(state.pid)
    what = f"{HEADS} heads, {THREADS} threads"
    measures = [
        Measure("parameters of the encoder", parameters),
        Measure("bundle", size_mb, "MB"),
        Measure(f"endpoint before the first request, {what}", idle["VmRSS"], "MB"),
        Measure(f"endpoint after {answered} texts, {what}", busy["VmRSS"], "MB", at_most(GOAL_MB)),
        Measure(f"endpoint at its peak, {what}", busy["VmHWM"], "MB", at_most(GOAL_MB)),
    ]
    small = "the encoder is tiny"
    return Report(list(undecided(measures, small)) if options.quick else measures)


if __name__ == "__main__":
    sys.exit(run(measure))
