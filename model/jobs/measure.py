"""Score and time bundles in fresh processes: the evidence for the gates.

Knows files only; what the figures mean is for `expectations`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from report.progress import Step

from ..code import code_digest
from ..digest import digest
from ..files import FileChanged, file_sha256, write_bytes
from ..references import BundleRef, ScoresRef, TimingRef
from .process import run_model


@task(name="score", cache_policy=NO_CACHE, task_run_name="score-{label}")
def score(
    label: str, bundle: BundleRef, *, rows: Path, out: Path, cache: Path, threads: int, logs: Path
) -> ScoresRef:
    """The bundle's answers on the test split, from a process that loaded nothing but the bundle.

    A baseline that was scored on these very rows before, by this code, is not scored again, unless the
    cached file is no longer what was written.

    Raises:
        model.files.FileChanged: the bundle that was scored is not the one that is referred to.
        model.jobs.process.ModelProcessError: the bundle can't be loaded or scored.
    """
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{label.replace(':', '-')}.npz"
    if label.startswith("baseline:"):
        key = digest("scores", bundle.sha256, _test_rows(rows, bundle.heads), code_digest())
        target = cache / "scores" / f"{key}.npz"
        target.parent.mkdir(exist_ok=True)
    sealed = target.with_suffix(".sha256")
    with Step(f"score {label}", unit="rows") as step:
        if target.is_file() and sealed.is_file() and sealed.read_text() == file_sha256(target):
            step.outcome = "cached"
            return ScoresRef(path=str(target), sha256=file_sha256(target), bundle_sha256=bundle.sha256)

        def follow(event: Mapping[str, Any]) -> None:
            if event["event"] == "scored":
                step.to(event["done"], event["total"])

        arguments = ["score", bundle.path, str(rows), "--split", "test", "--out", str(target)]
        if label == "champion":
            arguments.append("--older")
        done = run_model(
            [*arguments, "--threads", str(threads)], log=logs / f"score-{target.stem}.log", on_event=follow
        )
        if done["digest"] != bundle.sha256:
            raise FileChanged(
                f"{bundle.path}: bundle {done['digest'][:12]} was scored, expected {bundle.sha256[:12]}: it "
                "was changed since it was packaged. Remove it and run again"
            )
        step.outcome = f"{done.get('rows', 0):,} rows"
    sha256 = file_sha256(target)
    if label.startswith("baseline:"):
        write_bytes(sealed, sha256.encode())
    return ScoresRef(path=str(target), sha256=sha256, bundle_sha256=bundle.sha256)


def _test_rows(rows: Path, heads: Sequence[str]) -> list[str]:
    """Digests of the test texts and of the targets of `heads`."""
    files = [rows / "test.texts.jsonl", *(rows / f"test.{head}.npy" for head in heads)]
    return [file_sha256(file) for file in files]


@task(name="time", cache_policy=NO_CACHE)
def time_bundles(
    bundles: Mapping[str, BundleRef],
    *,
    rows: Path,
    out: Path,
    requests: int,
    threads: int,
    seed: int,
    logs: Path,
) -> TimingRef:
    """Latency and memory of all bundles, interleaved in one run, each in its own process."""
    out.mkdir(parents=True, exist_ok=True)
    target, file = out / "timing.json", out / "timing-job.json"
    job = {
        "bundles": {label: bundle.path for label, bundle in bundles.items()},
        "texts": str(rows / "test.texts.jsonl"),
        "requests": requests,
        "threads": threads,
        "seed": seed,
        "out": str(target),
    }
    file.write_text(json.dumps(job, indent=1))
    with Step("time bundles", unit="requests") as step:

        def follow(event: Mapping[str, Any]) -> None:
            if event["event"] == "timed":
                step.to(event["done"], event["total"])

        run_model(["time", str(file)], log=logs / "time.log", on_event=follow)
        step.outcome = f"{requests} requests × {len(bundles)} bundles"
    return TimingRef(path=str(target), sha256=file_sha256(target))
