"""Swapping versions under load: no request fails, no reply mixes versions, no bad version answers.

A real endpoint with the toy model answers a load without pause (a process of its own, connections kept
open) while it is ordered to swap: to new versions, back to earlier ones, and to versions that must not
serve, in nine ways. Rounds of steady serving and of swapping alternate, so that what else the machine
does falls on both. Every reply is held against what the version that it names answers.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle.reader import Bundle
from serving import client
from serving.processes import resident_bytes
from serving.spec import DeploySpec
from tests.support.bad_versions import ROTTEN, SLOW, SLOW_MS
from tests.support.contract import Report, Size, run
from tests.support.measures import Measure, at_least, at_most
from tests.support.open_endpoint import OpenEndpoint, open_endpoint
from tests.support.swap_load import DECIMALS, TEXTS
from tests.support.toy_bundle import Shop

GOAL = "0 failed, mixed or bad replies; p99 ≤ 1.5 × steady; memory ≤ 1.05 ×"
QUICK_S, WHOLE_S = 14, 600
SIZES = {
    "requests": Size(200_000, 3000, "requests while swapping"),
    "orders": Size(120, 20, "swap orders; 20 or more"),
    "rounds": Size(5, 1, "rounds of steady serving and of swapping"),
    "connections": Size(4, 3, "connections of the load"),
}
P99, MEMORY = "p99 while swapping by steady", "by that after the tenth swap"
KINDS = (
    *("bit flipped", "truncated", "head missing", "NaN", "labels permuted"),
    *("slow", "unsigned", "forged", "replayed"),
)
"""Bad versions that are ordered, in turn."""
BAD_SHARE = 0.45
"""Part of the orders that are bad."""
BACK_SHARE = 0.15
"""Part of the good orders that go back to an earlier version."""
SETTLED = 10
"""Swaps after which memory may grow by no more than `GROWTH`."""
GROWTH = 1.05
SLOWER = 1.5
"""How much larger than steady the 99th percentile may be while swapping."""


@dataclass(slots=True)
class Soak:
    """What was ordered and when."""

    good: set[int] = field(default_factory=lambda: {1})
    """Versions that may answer."""
    bad: Counter[str] = field(default_factory=Counter)
    """Kind → orders of it that were refused."""
    served: int = 0
    """Good orders that were followed."""
    problems: list[str] = field(default_factory=list)
    """Orders that did not end as they should."""
    rounds: list[tuple[str, float, float]] = field(default_factory=list)
    """`steady` or `swapping`, begin and end (monotonic clock, s)."""
    orders: list[tuple[float, float]] = field(default_factory=list)
    """From each order to its end."""
    resident: dict[str, float] = field(default_factory=dict)
    """`settled` and `end` → MiB."""


class Load:
    """The process that asks, and how far it is."""

    def __init__(self, url: str, out: Path, most: int, seconds: float, connections: int) -> None:
        command = [sys.executable, "-m", "tests.support.swap_load", url, str(out), "--most", str(most)]
        command += ["--seconds", str(seconds), "--connections", str(connections)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.out = out
        self.done = 0
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.done = int(line)

    def wait_for(self, requests: int) -> None:
        """Return once so many requests are done.

        Raises:
            RuntimeError: the load ended before.
        """
        while self.done < requests:
            if self._process.poll() is not None:
                raise RuntimeError(f"the load ended after {self.done} requests")
            time.sleep(0.02)

    def end(self) -> tuple[Any, dict[str, Any]]:
        """Stop asking; times of all requests, and replies with their counts."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        return np.load(self.out), json.loads(self.out.with_suffix(".json").read_text())


def soak(endpoint: OpenEndpoint, load: Load, *, requests: int, orders: int, rounds: int) -> Soak:
    """Run all rounds: a fifth of the requests steady, the others while swapping."""
    seen, rng = Soak(), random.Random(17)
    plan = _plan(orders, rng)
    staged = _stage(endpoint.shop, plan)
    load.wait_for(1000)
    steady, swapping = requests // 5 // rounds, requests // rounds
    for number in range(rounds):
        with _round(seen, "steady"):
            load.wait_for(load.done + steady)
        part = staged[number * orders // rounds : (number + 1) * orders // rounds]
        with _round(seen, "swapping"):
            begin = load.done
            for at, (kind, version) in enumerate(part, start=1):
                _order(endpoint, seen, kind, version, rng)
                if seen.served >= SETTLED and "settled" not in seen.resident:
                    seen.resident["settled"] = _resident_mib(endpoint)
                load.wait_for(begin + swapping * at // len(part))
    seen.resident["end"] = _resident_mib(endpoint)
    return seen


class _round:
    """Note when a round begins and ends."""

    def __init__(self, seen: Soak, name: str) -> None:
        self._seen, self._name = seen, name

    def __enter__(self) -> None:
        self._begin = time.monotonic()

    def __exit__(self, *error: object) -> None:
        self._seen.rounds.append((self._name, self._begin, time.monotonic()))


def _plan(orders: int, rng: random.Random) -> list[str]:
    bad = round(orders * BAD_SHARE)
    kinds = [KINDS[at % len(KINDS)] for at in range(bad)]
    plan = kinds + ["good"] * (orders - bad)
    rng.shuffle(plan)
    return plan


def _stage(shop: Shop, plan: Sequence[str]) -> list[tuple[str, int]]:
    """Put all versions beside each other before the load begins: making them is not what is measured."""
    staged = []
    for version, kind in enumerate(plan, start=2):
        folder = shop.stage(version)
        if kind != "good":
            {**ROTTEN, **SLOW}[kind](shop, folder, version)
        staged.append((kind, version))
    return staged


def _order(endpoint: OpenEndpoint, seen: Soak, kind: str, version: int, rng: random.Random) -> None:
    shop, url, begin = endpoint.shop, endpoint.state.url, time.monotonic()
    try:
        if kind != "good":
            shop.point_at(version)
            try:
                client.wait_for_version(url, version, timeout_s=20)
                seen.problems.append(f"{kind}: version {version} serves")
            except client.VersionRefused:
                seen.bad[kind] += 1
        else:
            if len(seen.good) > 3 and rng.random() < BACK_SHARE:
                version = rng.choice(sorted(seen.good)[:-1])
                shop.folder.roll_back(shop.private_key, version)
            else:
                seen.good.add(version)
                shop.folder.promote(version, shop.private_key)
            client.wait_for_version(url, version, timeout_s=20)
            seen.served += 1
    except client.NoAnswer as error:
        seen.problems.append(f"{kind}, version {version}: {error}")
    seen.orders.append((begin, time.monotonic()))


def _resident_mib(endpoint: OpenEndpoint) -> float:
    """Resident set of the endpoint once the version before has been given back (some 2 s after a swap)."""
    time.sleep(3.0)
    sizes = []
    for _ in range(5):
        sizes.append(resident_bytes(endpoint.state.pid) / 2**20)
        time.sleep(0.1)
    return float(np.median(sizes))


def wrong_replies(replies: Sequence[Sequence[Any]], shop: Shop, good: set[int]) -> tuple[int, int]:
    """How many replies came from a version that must not serve, and how many are not what the version that
    they name answers."""
    bad, mixed = 0, 0
    wanted: dict[tuple[int, str], list[float]] = {}
    for _, version, text, probabilities, count in replies:
        if version not in good:
            bad += count
            continue
        if (version, text) not in wanted:
            wanted |= {(version, one): answer for one, answer in _answers(shop, version).items()}
        answer = wanted[version, text]
        same = len(probabilities) == len(answer) and np.allclose(
            probabilities, answer, rtol=0, atol=2 * 10**-DECIMALS
        )
        mixed += 0 if same else count
    return bad, mixed


def _answers(shop: Shop, version: int) -> dict[str, list[float]]:
    """Text → probabilities in the order of (head, label), from the bundle itself."""
    bundle = Bundle.load(shop.bundle(version)[0], threads=1, verify=False)
    found = bundle.probabilities(list(TEXTS))
    order = sorted(
        (head, label, at)
        for head, about in bundle.card.heads.items()
        for at, label in enumerate(about.labels)
    )
    return {text: [float(found[head][row][at]) for head, _, at in order] for row, text in enumerate(TEXTS)}


def percentiles(times: Any, seen: Soak) -> dict[str, float]:
    """p50 and p99 in ms of requests that began in steady rounds, in swapping ones, and between an order and
    its end."""
    began, took = times["began_s"], times["took_ms"]
    inside = {name: np.zeros(len(began), bool) for name in ("steady", "swapping", "order")}
    for name, begin, end in seen.rounds:
        inside[name] |= (began >= begin) & (began < end)
    for begin, end in seen.orders:
        inside["order"] |= (began >= begin) & (began < end)
    return {
        f"{name} p{rank}": float(np.percentile(took[which], rank)) if which.any() else float("nan")
        for name, which in inside.items()
        for rank in (50, 99)
    } | {f"{name} requests": float(which.sum()) for name, which in inside.items()}


def soak_measures(requests: int, orders: int, rounds: int, connections: int) -> list[Measure]:
    """One soak; its figures."""
    spec = DeploySpec(port=0, threads=1, poll_s=0.05, max_answer_ms=SLOW_MS, start_timeout_s=30)
    with tempfile.TemporaryDirectory(prefix="headgate-soak-") as folder, open_endpoint(spec) as endpoint:
        load = Load(endpoint.state.url, Path(folder) / "load.npz", 2 * requests + 10_000, 900.0, connections)
        seen = soak(endpoint, load, requests=requests, orders=orders, rounds=rounds)
        times, replies = load.end()
        bad, mixed = wrong_replies(replies["replies"], endpoint.shop, seen.good)
    for problem in seen.problems:
        print(problem)
    for failure, count in replies["failures"].items():
        print(f"failed, {count} times: {failure}")
    found, refused = percentiles(times, seen), sum(seen.bad.values())
    slower = found["swapping p99"] / found["steady p99"]
    growth = seen.resident["end"] / seen.resident["settled"]
    return [
        Measure("requests, steady ones included", len(times["began_s"]), ""),
        Measure("requests while swapping", int(found["swapping requests"]), "", at_least(requests * 0.98)),
        Measure("swap orders", len(seen.orders), "", at_least(orders)),
        Measure("of these, bad ones that were refused", refused, ""),
        Measure("part of the orders that was bad", refused / len(seen.orders), "", at_least(0.4)),
        Measure("kinds of bad versions refused", len(seen.bad), f"of {len(KINDS)}", at_least(len(KINDS))),
        Measure("orders that did not end as they should", len(seen.problems), "", at_most(0)),
        Measure("requests that failed", sum(replies["failures"].values()), "", at_most(0)),
        Measure("replies not of the version named", mixed, "", at_most(0)),
        Measure("replies of a bad version", bad, "", at_most(0)),
        Measure("versions that answered", len({reply[1] for reply in replies["replies"]}), ""),
        Measure("p50 steady", found["steady p50"], "ms"),
        Measure("p50 while swapping", found["swapping p50"], "ms"),
        Measure("p99 steady", found["steady p99"], "ms"),
        Measure("p99 while swapping", found["swapping p99"], "ms"),
        Measure(P99, slower, "×", at_most(SLOWER)),
        Measure("p99 between an order and its end", found["order p99"], "ms"),
        Measure("resident after the tenth swap", seen.resident["settled"], "MiB"),
        Measure("resident at the end", seen.resident["end"], "MiB"),
        Measure(MEMORY, growth, "×", at_most(GROWTH)),
    ]


def measure(options: argparse.Namespace) -> Report:
    """One soak; in small its times say nothing."""
    measures = soak_measures(options.requests, options.orders, options.rounds, options.connections)
    if options.quick:
        reason = "times and memory of a few swaps on a busy machine"
        measures = [replace(m, undecided=reason) if m.name in (P99, MEMORY) else m for m in measures]
    return Report(measures)


if __name__ == "__main__":
    sys.exit(run(measure))
