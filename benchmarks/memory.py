"""What serving takes: nine heads on an encoder of DistilBERT's size, in an endpoint.

    python -m benchmarks.memory

The encoder has DistilBERT's shape (66M parameters, 6 layers of 768) and random weights: memory does not
depend on what they are. Packaged in int8 as a release is, served by the real endpoint, asked for 300 texts of
mixed lengths one by one, in batches of 32, and by eight clients at once.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

from benchmarks.latency import THREADS, endpoint
from serving.client import ask
from tests.support.machine import describe_machine
from tests.support.made_models import make_bundle, some_heads, texts
from tests.support.result import Measure, at_most, report

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


def load(url: str) -> None:
    """The requests: long and short texts, alone, in batches, and from several clients at once."""
    asked = [*texts(100, words=12), *texts(100, words=24), *texts(100, words=90)]
    for text in asked[:100]:
        ask(url, text, timeout_s=WAIT_S)
    for start in range(0, len(asked), 32):
        ask(url, asked[start : start + 32], timeout_s=WAIT_S)
    clients = [
        threading.Thread(target=lambda part=part: [ask(url, text, timeout_s=WAIT_S) for text in part])  # type: ignore[misc]
        for part in (asked[start::8] for start in range(8))
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def main() -> int:
    """Make the bundle, serve it, ask it, print the table."""
    from transformers import AutoModel, DistilBertConfig

    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="headgate-memory-") as temporary:
        place = Path(temporary)
        encoder = AutoModel.from_config(DistilBertConfig(), attn_implementation="eager")
        parameters = sum(parameter.numel() for parameter in encoder.parameters())
        bundle = make_bundle(place, "nine", some_heads(HEADS), encoder)
        size_mb = sum(file.stat().st_size for file in bundle.iterdir()) / 1e6
        with endpoint(bundle, place / "serve") as state:
            idle = memory_mb(state.pid)
            load(state.url)
            busy = memory_mb(state.pid)
    what = f"{HEADS} heads, {THREADS} threads"
    measures = [
        Measure("parameters of the encoder", parameters, ""),
        Measure("bundle", size_mb, "MB"),
        Measure(f"endpoint before the first request, {what}", idle["VmRSS"], "MB"),
        Measure(f"endpoint after 700 texts, {what}", busy["VmRSS"], "MB", at_most(GOAL_MB)),
        Measure(f"endpoint at its peak, {what}", busy["VmHWM"], "MB", at_most(GOAL_MB)),
    ]
    return report("memory", measures, machine)


if __name__ == "__main__":
    sys.exit(main())
