"""Time bundles against each other: interleaved in one run, each in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..files import file_sha256, write_json
from ..references import BundleRef, Run, TimingRef
from .process import run_model
from .progress import Progress


def time_bundles(
    bundles: Mapping[str, BundleRef], run: Run, progress: Progress, *, requests: int, threads: int, seed: int
) -> TimingRef:
    """Latency and memory of all bundles.

    Args:
        bundles: label → bundle, as in the evidence.
        requests: timed requests a bundle.
        threads: CPU threads of one request.
        seed: of the texts drawn and of the order.
    """
    out = run.folder / "evidence"
    out.mkdir(parents=True, exist_ok=True)
    target, file = out / "timing.json", out / "timing-job.json"
    job = {
        "bundles": {label: bundle.path for label, bundle in bundles.items()},
        "texts": str(run.rows / "test.texts.jsonl"),
        "requests": requests,
        "threads": threads,
        "seed": seed,
        "out": str(target),
    }
    write_json(file, job)

    def follow(event: Mapping[str, Any]) -> None:
        if event["event"] == "timed":
            progress.to(event["done"], event["total"])

    run_model(["time", str(file)], log=run.logs / "time.log", on_event=follow)
    progress.outcome = f"{requests} requests × {len(bundles)} bundles"
    return TimingRef(path=str(target), sha256=file_sha256(target))
