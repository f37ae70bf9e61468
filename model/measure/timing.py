"""Times bundles against each other: one process each, interleaved, warm, at declared threads.

    python -m model time JOB.json

JOB.json: {"bundles": {"shared": FOLDER, "baseline:emotion": FOLDER, …, "champion": FOLDER},
           "texts": FILE.jsonl, "requests": 200, "threads": 2, "seed": 17, "out": FILE.json, "block": 10}

`requests` texts are drawn from the file (without putting back while they last) and cut into blocks of
`block`. In each block every bundle answers the same texts, one request a text; the order of the bundles is
drawn anew for each block, and only one process works at a time. Before a block's timed requests each
bundle answers one text untimed, so that none is charged for caches that another one emptied. A second
process of the bundle `shared` takes part as `control`: what differs between the two is the machine.

The file written, raw, times in milliseconds:

    {"schema_version": 1, "unit": "ms", "threads", "seed",
     "requests": {"block": […], "bundle": […], "text": […], "tokens": […],
                  "tokenise_ms": […], "encode_ms": […], "total_ms": […]},
     "peak_rss_mb": {name: MiB}, "rss_mb": {name: MiB}, "load_ms": {name: ms},
     "bundle_bytes": {name: bytes}, "digest": {name: sha256}, "heads": {name: […]},
     "order": [[bundle names in the order of work] for each block],
     "machine": {"cpu", "cores", "memory_mib", "onnxruntime", "load_average"}}

The columns under `requests` have one entry a timed request, in the order in which they were sent; `text` is
the line of the text in the file, from 0. Two bundles have the same texts in the same blocks in the same
order: their figures pair. `encode_ms` is the graph; `total_ms` is tokenising, graph and answers together.
Does not judge.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..errors import BadInput, ModelError

CONTROL = "control"
SHARED = "shared"
FIGURES = ("tokens", "tokenise_ms", "encode_ms", "total_ms")
"""What a worker says of each request."""
FACTS = ("peak_rss_mb", "rss_mb", "load_ms", "bundle_bytes", "digest", "heads")
"""What a worker says of itself."""
PATIENCE_S = 120.0
"""Longest wait for a worker's answer. A block takes seconds; a worker that hangs must not hang the run."""


class TimingError(ModelError):
    """A timed process ended or hung; nothing was written."""


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
        raw = json.loads(path.read_text(encoding="utf-8"))
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
        TimingError: a worker could not load its bundle, ended or hung.
    """
    texts = _read_texts(job.texts)
    dice = random.Random(job.seed)
    drawn = _draw(len(texts), job.requests, dice)
    folders = {**job.bundles, CONTROL: job.bundles[SHARED]}
    blocks = [drawn[start : start + job.block] for start in range(0, len(drawn), job.block)]
    columns: dict[str, list[Any]] = {name: [] for name in ("block", "bundle", "text", *FIGURES)}
    order, last = [], {}
    load_average = os.getloadavg()[0]
    with ExitStack() as stack:
        workers = {}
        for name, path in folders.items():  # one after another: no load time is taken beside another load
            workers[name] = stack.enter_context(_Worker(name, path, job.threads))
        for worker in workers.values():
            worker.ask({"texts": [texts[line] for line in blocks[0]]})  # warm-up, not kept
        for number, block in enumerate(blocks):
            names = dice.sample(sorted(workers), len(workers))
            order.append(names)
            asked = [texts[line] for line in block]
            for name in names:
                answer = workers[name].ask({"texts": [asked[0], *asked]})
                columns["block"] += [number] * len(block)
                columns["bundle"] += [name] * len(block)
                columns["text"] += block
                for figure in FIGURES:
                    columns[figure] += answer[figure][1:]
                on_progress(len(columns["text"]), len(drawn) * len(workers))
        for name, worker in workers.items():
            last[name] = {**worker.hello, **worker.ask({"stop": True})}
    facts = {fact: {name: said[fact] for name, said in last.items()} for fact in FACTS}
    return {
        "schema_version": 1,
        "unit": "ms",
        "threads": job.threads,
        "seed": job.seed,
        "requests": columns,
        **facts,
        "order": order,
        "machine": {**_machine(), "load_average": load_average},
    }


def main(argv: list[str]) -> int:
    """Run one timing job; prints JSON events `timed` and `done`."""
    parser = argparse.ArgumentParser(prog="python -m model time", description=__doc__.split("\n")[0])
    parser.add_argument("job", type=Path, help="job file, JSON")
    job = read_job(parser.parse_args(argv).job)
    result = time_bundles(job, on_progress=_print_progress)
    job.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = job.out.with_name(f".{job.out.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(result, file, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(job.out)
    done = {"event": "done", "requests": job.requests, "bundles": len(result["digest"])}
    print(json.dumps(done), flush=True)
    return 0


class _Worker:
    """One timed process, seen from here."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        self.name = name
        root = str(Path(__file__).resolve().parents[2])
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part),
            "TOKENIZERS_PARALLELISM": "false",  # its threads would come on top of those declared
            "OMP_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "model.measure.timing_worker", str(folder), "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.hello: dict[str, Any] = {}

    def __enter__(self) -> _Worker:
        try:
            self.hello = self._hear()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):  # it ended before it read its last order
                if pipe is not None:
                    pipe.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Give one order and wait for its answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise TimingError(self._ended()) from None
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        watch = threading.Timer(PATIENCE_S, self.process.kill)
        watch.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise TimingError(self._ended())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> str:
        code = self.process.wait(timeout=30)
        return (
            f"the process that times bundle {self.name!r} ended with code {code}, expected an answer within "
            f"{PATIENCE_S:.0f} s; its own message stands before this one on standard error"
        )


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


def _draw(available: int, wanted: int, dice: random.Random) -> list[int]:
    """`wanted` numbers below `available`, each as often as every other, give or take one."""
    drawn: list[int] = []
    while len(drawn) < wanted:
        drawn += dice.sample(range(available), min(available, wanted - len(drawn)))
    return drawn


def _machine() -> dict[str, Any]:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": memory_bytes // (1 << 20),
        "onnxruntime": version("onnxruntime"),
    }


def _print_progress(done: int, total: int) -> None:
    print(json.dumps({"event": "timed", "done": done, "total": total}), flush=True)
