"""Times bundles against each other: one process each, interleaved, warm, at declared threads.

    python -m model time JOB.json

JOB.json: {"bundles": {"shared": FOLDER, "baseline:emotion": FOLDER, …, "champion": FOLDER},
           "texts": FILE.jsonl, "requests": 200, "threads": 2, "seed": 17, "out": FILE.json, "blocks": 10}

`requests` texts are drawn from the file (without replacement while they last) and cut into `blocks` blocks.
Each block has processes of its own, one a bundle: two processes of one program differ by a few percent
through where their memory lies, for as long as they live, and no number of requests averages that away. In a
block the bundles take turns of at most ten texts: every bundle answers equal texts, one request a text;
the order of the bundles is drawn for each turn, and only one process works at a time. Before its turn each
bundle answers one text untimed, because the bundle before it emptied the processor's caches. A second
process of the bundle `shared` takes part as `control`: differences between the two come from the machine.

The file written, raw, times in milliseconds:

    {"schema_version": 1, "unit": "ms", "threads", "seed",
     "requests": {"block": […], "bundle": […], "text": […], "tokens": […],
                  "tokenise_ms": […], "encode_ms": […], "total_ms": […], "cpu_ms": […], "caller_ms": […]},
     "peak_rss_mb": {name: MiB}, "rss_mb": {name: MiB}, "load_ms": {name: ms},
     "bundle_bytes": {name: bytes}, "digest": {name: sha256}, "heads": {name: […]},
     "order": [[bundle names in the order of work] for each turn],
     "machine": {"cpu", "cores", "memory_mib", "onnxruntime", "load_average", "busy_cores"},
     "looks": [{"blocks", "load_average", "busy_cores"}]}

The columns under `requests` have one entry a timed request, in the order in which they were sent; `text` is
the line of the text in the file, from 0. All bundles answer equal texts in equal blocks in equal order: their
figures can be compared in pairs. `encode_ms` is the graph; `total_ms` is tokenising, graph and answers
together; `cpu_ms` is the processor time of all threads meanwhile, `caller_ms` that of the thread that asked.
Of memory the largest of a bundle's processes is told, of `load_ms` that of the first, which loaded alone.
`busy_cores` is how many cores other work kept busy on average. One run is one look; `merge_looks` joins
several. Does not judge."""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
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
TURN = 10
"""Most requests that one bundle answers before the next has its turn."""
FACTS = ("peak_rss_mb", "rss_mb", "load_ms", "bundle_bytes", "digest", "heads")
"""What a process reports of itself."""
MEMORY = ("peak_rss_mb", "rss_mb")
"""Of these, what is memory."""


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
    blocks: int = 10
    """Blocks that the requests are cut into; each has processes of its own."""
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
    for name in ("requests", "blocks", "threads"):
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
    log = _Log(total=len(drawn) * (len(job.bundles) + 1), on_progress=on_progress)
    load_average, meter, own_cpu_s = os.getloadavg()[0], BusyMeter(), _own_cpu_s()
    for block in _cut(drawn, job.blocks):
        log.add_block(job, block, texts, rng)
    seen = {"load_average": load_average, "busy_cores": meter.others(_own_cpu_s() - own_cpu_s)}
    return {
        "schema_version": 1,
        "unit": "ms",
        "threads": job.threads,
        "seed": job.seed,
        "requests": log.columns,
        **log.facts,
        "order": log.order,
        "machine": {**describe_machine(), **seen},
        "looks": [{"blocks": log.blocks, **seen}],
    }


@dataclass(slots=True)
class _Log:
    """What was measured so far."""

    total: int
    """Requests of all bundles together."""
    on_progress: Callable[[int, int], None]
    columns: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in ("block", "bundle", "text", *FIGURES)}
    )
    facts: dict[str, Any] = field(default_factory=dict)
    order: list[list[str]] = field(default_factory=list)
    blocks: int = 0

    def add_block(self, job: TimingJob, block: list[int], texts: Sequence[str], rng: random.Random) -> None:
        """Time one block, in processes of its own."""
        with ExitStack() as stack:
            processes: dict[str, TimedProcess] = {}
            for name, path in {**job.bundles, CONTROL: job.bundles[SHARED]}.items():
                process = TimedProcess(name, path, job.threads)
                stack.push(process)
                processes[name] = process
                if not self.blocks:  # the load time that is told is not taken beside another load
                    process.wait_until_loaded()
            for process in processes.values():
                process.wait_until_loaded()
                process.ask({"texts": [texts[line] for line in block[:TURN]]})  # warm-up, not kept
            for start in range(0, len(block), TURN):
                names = rng.sample(sorted(processes), len(processes))
                self.order.append(names)
                for name in names:
                    self._add_turn(processes[name], block[start : start + TURN], texts)
            reports = {name: {**p.loaded, **p.ask({"stop": True})} for name, p in processes.items()}
        facts = {fact: {name: report[fact] for name, report in reports.items()} for fact in FACTS}
        self.facts = _joined(self.facts, facts) if self.facts else facts
        self.blocks += 1

    def _add_turn(self, process: TimedProcess, turn: list[int], texts: Sequence[str]) -> None:
        """Let one bundle answer the texts of a turn, the first one twice; the first answer is not kept."""
        asked = [texts[line] for line in turn]
        reply = process.ask({"texts": [asked[0], *asked]})
        self.columns["block"] += [self.blocks] * len(turn)
        self.columns["bundle"] += [process.name] * len(turn)
        self.columns["text"] += turn
        for figure in FIGURES:
            self.columns[figure] += reply[figure][1:]
        self.on_progress(len(self.columns["text"]), self.total)


def _joined(first: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """`first`, with the larger memory of both: what processes of the same bundles reported of themselves.

    Raises:
        TimingError: a bundle was changed in between.
    """
    if later["digest"] != first["digest"]:
        raise TimingError("a bundle was changed while the bundles were timed; time all of them again")
    largest = {
        fact: {name: max(mib, later[fact][name]) for name, mib in first[fact].items()} for fact in MEMORY
    }
    return {**first, **largest}


def merge_looks(looks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several runs on the same bundles as one: blocks are numbered on, the largest memory counts.

    Raises:
        TimingError: a bundle was changed between two looks.
    """
    first, *later = looks
    merged = {**first, "requests": {name: list(column) for name, column in first["requests"].items()}}
    merged |= {"order": list(first["order"]), "looks": list(first["looks"])}
    for look in later:
        begin = sum(each["blocks"] for each in merged["looks"])
        for name, column in look["requests"].items():
            merged["requests"][name] += [begin + block for block in column] if name == "block" else column
        merged = _joined(merged, look)
        merged["order"] += look["order"]
        merged["looks"] += look["looks"]
    most = {key: max(look[key] for look in merged["looks"]) for key in ("load_average", "busy_cores")}
    return merged | {"machine": {**first["machine"], **most}}


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


def _own_cpu_s() -> float:
    """Processor time of this process and of those that it started and that have ended, in seconds."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _cut(drawn: list[int], blocks: int) -> list[list[int]]:
    """`drawn` in so many parts of nearly equal size, none of them empty."""
    blocks = min(blocks, len(drawn))
    bounds = [number * len(drawn) // blocks for number in range(blocks + 1)]
    return [drawn[begin:end] for begin, end in pairwise(bounds)]


def _draw(available: int, wanted: int, rng: random.Random) -> list[int]:
    """`wanted` numbers below `available`; how often two of them occur differs by one at most."""
    drawn: list[int] = []
    while len(drawn) < wanted:
        drawn += rng.sample(range(available), min(available, wanted - len(drawn)))
    return drawn
