"""The process in which one bundle is timed: loads it, then answers texts on order.

    python -m model.measure.timing_worker BUNDLE --threads N

Exchanges JSON lines with `model.measure.timing` over standard input and output:

    first            → {"load_ms", "digest", "heads", "bundle_bytes"}
    {"texts": […]}   → {"tokens": […], "tokenise_ms": […], "encode_ms": […], "total_ms": […],
                        "cpu_ms": […], "caller_ms": […]}, one figure a text
    {"stop": true}   → {"peak_rss_mb", "rss_mb"} and the end

Each text is a separate request: tokenised, run through the graph, turned into answers. Imports nothing
heavier than a bundle needs, so that its memory is that of serving. Does not know the other bundles.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from ..bundle.masking import mask_process
from ..bundle.reader import Bundle
from ..bundle.telemetry import load_engine, telemetry_off
from ..errors import ModelError

KIB_PER_MIB = 1024.0
"""Linux counts resident memory in KiB."""
FIGURES = ("tokens", "tokenise_ms", "encode_ms", "total_ms", "cpu_ms", "caller_ms")
"""What is reported of each request."""


def answer_timed(bundle: Bundle, texts: list[str]) -> dict[str, list[float]]:
    """Answer texts one after another; six lists with one figure a text, times in milliseconds.

    `cpu_ms` is the processor time of all threads of this process, `caller_ms` that of this thread. Other work
    on the machine does not count there, and the runtime's idle threads do not spin.
    """
    figures: dict[str, list[float]] = {name: [] for name in FIGURES}
    for text in texts:
        cpu_begin, caller_begin = time.process_time_ns(), time.thread_time_ns()
        begin = time.perf_counter_ns()
        encoding = bundle.encode([text])
        tokenised = time.perf_counter_ns()
        logits = bundle.run(encoding)
        encoded = time.perf_counter_ns()
        bundle.answers(logits)
        end = time.perf_counter_ns()
        cpu_end, caller_end = time.process_time_ns(), time.thread_time_ns()
        figures["tokens"].append(encoding.input_ids.shape[1])
        figures["tokenise_ms"].append((tokenised - begin) / 1e6)
        figures["encode_ms"].append((encoded - tokenised) / 1e6)
        figures["total_ms"].append((end - begin) / 1e6)
        figures["cpu_ms"].append((cpu_end - cpu_begin) / 1e6)
        figures["caller_ms"].append((caller_end - caller_begin) / 1e6)
    return figures


def resident_mib() -> dict[str, float]:
    """This process's resident set in MiB: at present (`rss_mb`), and its peak (`peak_rss_mb`)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    kib = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return {
        "rss_mb": float(kib["VmRSS"]) / KIB_PER_MIB,
        "peak_rss_mb": float(kib["VmHWM"]) / KIB_PER_MIB,
    }


def main(argv: list[str]) -> int:
    """Load a bundle and obey orders until the order to stop, or until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="python -m model.measure.timing_worker", description=__doc__.split("\n")[0]
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args(argv)
    telemetry_off()
    mask_process()
    load_engine()  # here: what is timed is the bundle
    try:
        _work(given.bundle, given.threads)
    except ModelError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # who gave the orders was killed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _work(folder: Path, threads: int) -> None:
    begin = time.perf_counter_ns()
    bundle = Bundle.load(folder, threads=threads)
    _send(
        {
            "load_ms": (time.perf_counter_ns() - begin) / 1e6,
            "digest": bundle.digest,
            "heads": list(bundle.card.heads),
            "bundle_bytes": sum(file.stat().st_size for file in folder.iterdir()),
            "rss_mb": resident_mib()["rss_mb"],
        }
    )
    gc.collect()
    gc.disable()  # a collection in the middle of a request would be counted as the bundle's time
    for line in sys.stdin:
        order = json.loads(line)
        if order.get("stop"):
            break
        _send(answer_timed(bundle, order["texts"]))
        gc.collect()
    _send(resident_mib())


def _send(reply: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
