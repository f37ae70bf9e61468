"""Times bundles against each other: one process each, interleaved, warm, at declared threads.

    python -m model time JOB.json

JOB.json: {"bundles": {"shared": FOLDER, "baseline:emotion": FOLDER, …, "champion": FOLDER},
           "texts": FILE.jsonl, "requests": 200, "threads": 2, "seed": 17, "out": FILE.json, "block": 10}

`requests` texts are drawn from the file (without replacement while they last) and cut into blocks of
`block`. In each block every bundle answers equal texts, one request a text; the order of the bundles is
drawn for each block, and only one process works at a time. Before a block's timed requests each
bundle answers one text untimed, because the bundle before it emptied the processor's caches. A second process
of the bundle `shared` takes part as `control`: differences between the two come from the machine.

The file written, raw, times in milliseconds:

    {"schema_version": 1, "unit": "ms", "threads", "seed",
     "requests": {"block": […], "bundle": […], "text": […], "tokens": […],
                  "tokenise_ms": […], "encode_ms": […], "total_ms": […], "cpu_ms": […], "caller_ms": […]},
     "peak_rss_mb": {name: MiB}, "rss_mb": {name: MiB}, "load_ms": {name: ms},
     "bundle_bytes": {name: bytes}, "digest": {name: sha256}, "heads": {name: […]},
     "order": [[bundle names in the order of work] for each block],
     "machine": {"cpu", "cores", "memory_mib", "onnxruntime", "load_average", "busy_cores"},
     "looks": [{"blocks", "load_average", "busy_cores"}]}

The columns under `requests` have one entry a timed request, in the order in which they were sent; `text` is
the line of the text in the file, from 0. All bundles answer equal texts in equal blocks in equal order: their
figures can be compared in pairs. `encode_ms` is the graph; `total_ms` is tokenising, graph and answers
together; `cpu_ms` is the processor time of all threads meanwhile, `caller_ms` that of the thread that asked.
`busy_cores` is how many cores other work kept busy on average. One run is one look; `merge_looks` joins
several, each with processes of its own. Does not judge."""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..events import print_event
from ..files import read_json, write_json
from .machine import BusyMeter, describe_machine
from .timed_process import TimedProcess, TimingError

CONTROL = "control"
SHARED = "shared"
FIGURES = ("tokens", "tokenise_ms", "encode_ms", "total_ms", "cpu_ms", "caller_ms")
"""What a process reports of each request."""
FACTS = ("peak_rss_mb", "rss_mb", "load_ms", "bundle_bytes", "digest", "heads")
"""What a process reports of itself."""


@dataclass(frozen=True, slots=True)
class TimingJob:
    """What to time."""

    bundles: Mapping[str, Path]
    """Name → folder. One is called `shared`."""
    texts: Path
    """JSON lines, one string each."""
    out: Path
    requests: int = 200
    """Timed requests a bundle."""
    block: int = 10
    """Requests that one bundle answers before the next has its turn."""
    threads: int = 2
    """CPU threads of each process."""
    seed: int = 17
    """Of the texts drawn and of the order of the bundles."""


def read_job(path: Path) -> TimingJob:
    """The job in a JSON file.

    Raises:
        BadInput: it is not JSON, a field is unknown or missing, or a number is not above zero.
    """
    try:
        raw = read_json(path)
        job = TimingJob(
            **{
                **raw,
                "bundles": {name: Path(folder) for name, folder in raw["bundles"].items()},
                "texts": Path(raw["texts"]),
                "out": Path(raw["out"]),
            }
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: not a timing job: {type(error).__name__}: {error}") from error
    for name in ("requests", "block", "threads"):
        value = getattr(job, name)
        if not isinstance(value, int) or value < 1:
            raise BadInput(f"{path}: {name}: seen {value!r}, expected a whole number from 1 on")
    if SHARED not in job.bundles or CONTROL in job.bundles:
        raise BadInput(f"{path}: bundles: expected one named {SHARED!r} and none named {CONTROL!r}")
    return job


def time_bundles(
    job: TimingJob, *, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """Time all bundles of a job; returns what the module's docstring describes.

    Raises:
        BadInput: there is no text, or a line is not a JSON string.
        TimingError: a process could not load its bundle, ended or hung.
    """
    texts = _read_texts(job.texts)
    rng = random.Random(job.seed)
    drawn = _draw(len(texts), job.requests, rng)
    blocks = [drawn[start : start + job.block] for start in range(0, len(drawn), job.block)]
    columns: dict[str, list[Any]] = {name: [] for name in ("block", "bundle", "text", *FIGURES)}
    order = []
    load_average, own_cpu_s = os.getloadavg()[0], time.process_time()
    with ExitStack() as stack:
        processes = {}
        # One after another: no load time is taken beside another load.
        for name, path in {**job.bundles, CONTROL: job.bundles[SHARED]}.items():
            processes[name] = stack.enter_context(TimedProcess(name, path, job.threads))
        for process in processes.values():
            process.ask({"texts": [texts[line] for line in blocks[0]]})  # warm-up, not kept
        meter = BusyMeter()
        for number, block in enumerate(blocks):
            names = rng.sample(sorted(processes), len(processes))
            order.append(names)
            for name in names:
                _time_block(processes[name], number, block, texts, columns)
                on_progress(len(columns["text"]), len(drawn) * len(processes))
        reports = {name: {**p.loaded, **p.ask({"stop": True})} for name, p in processes.items()}
        own_cpu_s = sum(report["cpu_s"] for report in reports.values()) + time.process_time() - own_cpu_s
        seen = {"load_average": load_average, "busy_cores": meter.others(own_cpu_s)}
    facts = {fact: {name: report[fact] for name, report in reports.items()} for fact in FACTS}
    return {
        "schema_version": 1,
        "unit": "ms",
        "threads": job.threads,
        "seed": job.seed,
        "requests": columns,
        **facts,
        "order": order,
        "machine": {**describe_machine(), **seen},
        "looks": [{"blocks": len(blocks), **seen}],
    }


def merge_looks(looks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several runs on the same bundles as one: blocks are numbered on, the largest memory counts.

    Raises:
        TimingError: a bundle was changed between two looks.
    """
    first, *later = looks
    merged = {**first, "requests": {name: list(column) for name, column in first["requests"].items()}}
    merged |= {"peak_rss_mb": dict(first["peak_rss_mb"]), "rss_mb": dict(first["rss_mb"])}
    merged |= {"order": list(first["order"]), "looks": list(first["looks"])}
    for look in later:
        if look["digest"] != first["digest"]:
            raise TimingError("a bundle was changed while the bundles were timed; time all of them again")
        begin = len(merged["order"])
        for name, column in look["requests"].items():
            merged["requests"][name] += [begin + block for block in column] if name == "block" else column
        for fact in ("peak_rss_mb", "rss_mb"):
            for name, mib in look[fact].items():
                merged[fact][name] = max(merged[fact][name], mib)
        merged["order"] += look["order"]
        merged["looks"] += look["looks"]
    most = {key: max(look[key] for look in merged["looks"]) for key in ("load_average", "busy_cores")}
    return merged | {"machine": {**first["machine"], **most}}


def _time_block(
    process: TimedProcess, number: int, block: list[int], texts: Sequence[str], columns: dict[str, list[Any]]
) -> None:
    """Let one bundle answer the texts of a block, the first one twice; the first answer is not kept."""
    asked = [texts[line] for line in block]
    reply = process.ask({"texts": [asked[0], *asked]})
    columns["block"] += [number] * len(block)
    columns["bundle"] += [process.name] * len(block)
    columns["text"] += block
    for figure in FIGURES:
        columns[figure] += reply[figure][1:]


def main(argv: list[str]) -> int:
    """Run one timing job; prints JSON events `timed` and `done`."""
    parser = argparse.ArgumentParser(prog="python -m model time", description=__doc__.split("\n")[0])
    parser.add_argument("job", type=Path, help="job file, JSON")
    job = read_job(parser.parse_args(argv).job)
    result = time_bundles(
        job, on_progress=lambda done, total: print_event({"event": "timed", "done": done, "total": total})
    )
    job.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(job.out, result, indent=None)
    print_event({"event": "done", "requests": job.requests, "bundles": len(result["digest"])})
    return 0


def _read_texts(path: Path) -> list[str]:
    try:
        # Not splitlines, which also cuts at separators that a JSON string may hold.
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from error
    texts = []
    for number, line in enumerate(lines, start=1):
        try:
            text = json.loads(line)
        except ValueError:
            text = None
        if not isinstance(text, str):
            raise BadInput(f"{path} line {number}: expected a JSON string")
        texts.append(text)
    return texts


def _draw(available: int, wanted: int, rng: random.Random) -> list[int]:
    """`wanted` numbers below `available`; how often two of them occur differs by one at most."""
    drawn: list[int] = []
    while len(drawn) < wanted:
        drawn += rng.sample(range(available), min(available, wanted - len(drawn)))
    return drawn
