"""Time bundles against each other: interleaved, each in a process of its own; again, until that decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import file_sha256, read_json, write_json
from ..measure.machine import wait_for_quiet
from ..measure.timing import merge_looks
from ..references import TimingRef
from .process import run_model
from .progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingPlan:
    """How bundles are timed, and how often."""

    texts: Path
    """JSON lines of the test texts."""
    out: Path
    """The timings of all looks together."""
    log: Path
    requests: int
    """Timed requests a bundle, at each look."""
    threads: int
    """CPU threads of one request."""
    seed: int
    """Of the texts drawn and of the order; each look has one of its own."""
    looks: int = 1
    """Most looks."""
    wait_s: float = 0.0
    """Longest wait for a quiet machine before the looks, in seconds, all together."""
    enough: Callable[[Mapping[str, Any]], bool] = lambda timings: True
    """Whether the timings of all looks so far decide."""
    say: Callable[[str], None] = lambda line: None
    """Told why it waits or measures again."""


def timed_once(bundles: Mapping[str, Path]) -> tuple[dict[str, Path], dict[str, str]]:
    """(Label → folder, each folder once; label → the label under which its bundle is timed, where that is
    another one)."""
    first: dict[Path, str] = {}
    for label, folder in bundles.items():
        first.setdefault(folder, label)
    timed = {label: folder for folder, label in first.items()}
    return timed, {label: first[folder] for label, folder in bundles.items() if label not in timed}


def time_bundles(bundles: Mapping[str, Path], progress: Progress, plan: TimingPlan) -> TimingRef:
    """Latency and memory of all bundles, of all looks together. A bundle that stands for several labels is
    timed once; `timed_as` in the file says for which.

    Args:
        bundles: label → folder of the bundle; labels as in the evidence.

    Raises:
        model.jobs.process.ModelProcessError: a bundle can't be loaded or timed.
    """
    plan.out.parent.mkdir(parents=True, exist_ok=True)
    file, one = (plan.out.with_name(f"{plan.out.stem}-{what}.json") for what in ("job", "look"))
    timed, timed_as = timed_once(bundles)
    looks: list[dict[str, Any]] = []
    left_s = plan.wait_s

    def follow(event: Mapping[str, Any]) -> None:
        if event["event"] == "timed":
            note = f"look {len(looks) + 1} of at most {plan.looks}" if looks else ""
            progress.to(event["done"], event["total"], note)

    for number in range(plan.looks):
        waited_s = wait_for_quiet(plan.threads, left_s, plan.say)
        left_s -= waited_s
        job = {
            "bundles": {label: str(folder) for label, folder in timed.items()},
            "texts": str(plan.texts),
            "requests": plan.requests,
            "threads": plan.threads,
            "seed": plan.seed + number,
            "out": str(one),
        }
        write_json(file, job)
        run_model(["time", str(file)], log=plan.log, on_event=follow)
        look = read_json(one)
        look["looks"][0]["waited_s"] = waited_s
        looks.append(look)
        merged = {**merge_looks(looks), "timed_as": timed_as}
        write_json(plan.out, merged, indent=None)
        if plan.enough(merged):
            break
        if number + 1 < plan.looks:
            plan.say(f"look {number + 1} does not decide; timing {plan.requests} more requests a bundle")
    one.unlink()
    progress.outcome = f"{plan.requests * len(looks)} requests × {len(timed)} bundles"
    return TimingRef(path=str(plan.out), sha256=file_sha256(plan.out))
