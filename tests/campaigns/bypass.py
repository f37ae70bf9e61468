"""Ways to get an ungated model into traffic, each tried against a real endpoint.

Each way gets a project of its own: a home, a registry, keys, version 1 approved and served by an endpoint
process. After the attack the endpoint is asked for a while, then stopped and started cold and asked again,
then the flow's own repair runs, or refuses and says what to do, and it is asked once more. What answers is
known by its answers: anything but an approved version is ungated traffic. `--only TEXT` tries the ways whose
name holds it.

Goals: no ungated answer, the approved version answers throughout, and every way has left a trace.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serving.store.manifest import ReleaseRefused, verify_release
from tests.support import bypass_evidence, bypass_files, bypass_overrides, bypass_registry
from tests.support.bypass_world import (
    World,
    journal_lines,
    log_lines,
    make_store,
    open_world,
    refused_by_endpoint,
    refused_requests,
    traffic,
)
from tests.support.contract import Report, Size, run
from tests.support.measures import Measure, aligned, at_least, at_most, measure_table
from tests.support.toy_bundle import NAME

GOAL = "no ungated answer, always an approved one, a trace of each"
QUICK_S, WHOLE_S = 37, 720
SIZES = {"every": Size(1, 15, "try one way in so many")}
WATCH_S = 0.4
"""How long traffic is watched each time; the endpoint looks every 0.02 s."""
PATIENCE_S = 8.0
"""Longest wait for the endpoint to have looked at what it is made to see."""

ATTACKS: dict[str, Callable[[World], None]] = {
    **bypass_overrides.WAYS,
    **bypass_files.WAYS,
    **bypass_registry.WAYS,
    **bypass_evidence.WAYS,
}
"""What is tried → how."""
SEEN_WHEN_COLD = frozenset({"graph exchanged while it is loaded", "older pointer put back"})
"""Ways that may come too late for the endpoint that runs, which then has what was approved in memory: the
next cold start finds them."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one way."""

    way: str
    answered: frozenset[str]
    """Who answered: `version 1`, `version 2`, `UNGATED`, `nobody`."""
    stopped: str
    """What stopped it, in a sentence; empty where no message names it."""
    logged: tuple[str, ...]
    """Where it left a trace: `journal`, `endpoint log`, `/ready`."""

    @property
    def held(self) -> bool:
        """Whether no ungated model answered, and an approved one always did."""
        return self.answered <= {"version 1", "version 2"}


def try_way(way: str, store: Path, *, thorough: bool = True) -> Tried:
    """Try one way in a world of its own.

    Args:
        store: an empty MLflow store to start from (`make_store`).
        thorough: also restart the endpoint and repair; else it is only asked as it runs.
    """
    with (
        tempfile.TemporaryDirectory(prefix="headgate-bypass-") as temporary,
        open_world(Path(temporary), store) as world,
    ):
        entries, lines = len(journal_lines(world)), len(log_lines(world))
        pointer = world.folder.pointer_path.read_bytes()
        ATTACKS[way](world)
        moved = _bytes(world.folder.pointer_path) != pointer
        answered, refusal = _watch(world, waits=moved or not world.refusals)
        logged = {"/ready"} if refusal else set()
        if refused_requests(world):
            logged.add("/metrics")
        if thorough:
            world.pause()
            world.resume()
            seen, again = _watch(world, waits=False)
            answered, refusal = answered | seen, refusal or again
            answered |= _after_repair(world) if world.reconcile() else traffic(world, WATCH_S)
        fresh = [
            entry
            for entry in journal_lines(world)[entries:]
            if entry["event"] in ("refused", "promotion refused", "undone", "reconciled")
            or "verdict: fail" in entry["detail"]
            or "verdict: inconclusive" in entry["detail"]
        ]
        if fresh:
            logged.add("journal")
        if len(log_lines(world)) > lines:
            logged.add("endpoint log")
        stopped = next(iter(world.refusals), "") or refusal or (fresh[-1]["detail"] if fresh else "")
        return Tried(way, frozenset(answered), stopped, tuple(sorted(logged)))


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _watch(world: World, *, waits: bool) -> tuple[set[str], str]:
    """Who answers, and what the endpoint refused. With `waits`, until it has refused something."""
    answered, deadline = traffic(world, WATCH_S), time.monotonic() + PATIENCE_S
    while waits and not refused_by_endpoint(world) and time.monotonic() < deadline:
        answered |= traffic(world, 0.1)
    return answered, refused_by_endpoint(world)


def _after_repair(world: World) -> set[str]:
    """Who answers once the flow has repaired the project. What the pointer names must verify now."""
    seen = traffic(world, WATCH_S)
    pointer = world.folder.latest_pointer(world.public_key)
    try:
        if pointer is not None:
            verify_release(world.folder.version_dir(pointer.version), world.public_key, NAME)
    except ReleaseRefused:
        seen.add("UNGATED")
    return seen


def table(tried: list[Tried]) -> str:
    """Way, who answered, what stopped it, where it was logged."""
    rows = [("way", "answered", "stopped by", "logged in")]
    for one in tried:
        stopped = one.stopped if len(one.stopped) <= 90 else f"{one.stopped[:89]}…"
        rows.append((one.way, ", ".join(sorted(one.answered)), stopped, ", ".join(one.logged) or "NOWHERE"))
    return aligned(rows)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which ways."""
    parser.add_argument("--only", default="", help="try the ways whose name holds this")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many from the start")


def measure(options: argparse.Namespace) -> Report:
    """Try the ways."""
    tried = []
    with tempfile.TemporaryDirectory(prefix="headgate-bypass-") as temporary:
        store = make_store(Path(temporary))
        for way in list(ATTACKS)[options.skip :: options.every]:
            if options.only in way:
                tried.append(try_way(way, store))
                outcome = "held" if tried[-1].held else "BROKEN"
                print(f"  {outcome}  {way}  [{', '.join(tried[-1].logged)}]", flush=True)
    some = bool(options.only or options.skip or options.every > 1)
    measures = [
        Measure("ways tried", len(tried), "", at_least(1 if some else 30)),
        Measure("reached traffic", sum("UNGATED" in one.answered for one in tried), "", at_most(0)),
        Measure("left nobody to answer", sum("nobody" in one.answered for one in tried), "", at_most(0)),
        Measure("left no trace", sum(not one.logged for one in tried), "", at_most(0)),
    ]
    return Report(measures, f"{table(tried)}\n\n{measure_table(measures)}")


if __name__ == "__main__":
    sys.exit(run(measure))
