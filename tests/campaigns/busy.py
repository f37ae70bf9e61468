"""Beside a process that keeps one core busy: are sound bundles decided, and do slow ones stay out?

Every case is a whole judgement of the latency gate on bundles of two heads, each timed in a process of its
own at two threads, with looks and clocks as in a release. Sound: the bundle against itself in the place of
two baselines and of the champion (true ratios 0.5 and 1.0, limits 0.8 and 1.25). Slow: a copy that takes 1.3
times the limit against the baselines. The former rule, wall time and one look, is applied to the first look
of the same timings. The wait for a quiet machine is left out: the load is steady.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from expectations.gates.latency import judge_latency
from expectations.gates.timings import Timings, timings_from_json
from expectations.spec import GateRules
from model.files import read_json
from model.jobs.latency import TimingPlan, time_bundles
from model.jobs.progress import Silent
from tests.campaigns.gates import make_toy
from tests.support.broken_bundles import broken_copy, slower
from tests.support.contract import Report, Size, run
from tests.support.measures import Measure, aligned, at_least, at_most, measure_table, undecided

GOAL = "with one core busy: ≥ 95% of sound bundles decided, no slow one (1.3 × the limit) passes"
QUICK_S, WHOLE_S = 45, 1500
SIZES = {
    "sound": Size(40, 1, "sound bundles judged"),
    "slow": Size(50, 1, "slow bundles judged"),
    "requests": Size(200, 100, "timed requests a bundle and look"),
}
HEADS = ("mood", "topics")
SOUND_PRODUCTS = 8
"""Useless products of a sound bundle: a few milliseconds a text."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How busy, how slow."""
    parser.add_argument("--busy", type=int, default=1, help="processes that keep a core busy (default 1)")
    parser.add_argument("--slower", type=float, default=1.3, help="times the limit (default 1.3)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of a bundle (default 2)")


def measure(options: argparse.Namespace) -> Report:
    """Judge sound and slow bundles beside busy processes."""
    rules = GateRules(latency_requests=options.requests, latency_threads=options.threads, quiet_wait_s=0.0)
    with tempfile.TemporaryDirectory(prefix="headgate-busy-") as temporary:
        place = Path(temporary)
        toy, rows = make_toy(place)
        sound = broken_copy(toy, place / "bundle", slower("mood", SOUND_PRODUCTS))
        slow = _slow_copy(sound, rows, place, rules, options.slower)
        outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in ("sound", "slow", "former", "looks")}
        others = []
        with _busy(options.busy):
            for kind, bundle, count in (("sound", sound, options.sound), ("slow", slow, options.slow)):
                for number in range(count):
                    bundles = {"shared": bundle, "champion": sound if kind == "sound" else bundle}
                    bundles |= {f"baseline:{head}": sound for head in HEADS}
                    raw = _timed(bundles, rows, place, replace(rules, seed=1000 * number + 17))
                    timings = timings_from_json(raw)
                    verdict = judge_latency(timings, rules, HEADS)
                    outcomes[kind][verdict.outcome] += 1
                    if verdict.outcome != ("pass" if kind == "sound" else "fail"):
                        print("\n".join(verdict.reasons), file=sys.stderr)
                    outcomes["looks"][str(timings.looks)] += 1
                    others.append(float(raw["machine"]["busy_cores"]))
                    if kind == "sound":
                        outcomes["former"][_by_the_former_rule(timings, raw, rules)] += 1
                    print(f"{kind} {number + 1} of {count}: {dict(outcomes[kind])}", file=sys.stderr)
    return _report(outcomes, others, options)


def _report(outcomes: Mapping[str, Counter[str]], others: list[float], options: argparse.Namespace) -> Report:
    sound, slow = outcomes["sound"], outcomes["slow"]
    measures = [
        Measure("sound bundles passed", sound["pass"] / max(1, sound.total()), "share", at_least(0.95)),
        Measure("sound bundles failed", sound["fail"], "", at_most(0)),
        Measure("slow bundles passed", slow["pass"], "", at_most(0)),
        Measure("slow bundles failed for certain", slow["fail"] / max(1, slow.total()), "share"),
        Measure(
            "sound bundles passed by wall time and one look, same timings",
            outcomes["former"]["pass"] / max(1, sound.total()),
            "share",
        ),
        Measure("cores that other work kept busy, median", float(np.median(others)), "cores"),
    ]
    if options.quick:
        measures = list(undecided(measures, "two bundles"))
    looks = [("looks", "judgements"), *((each, str(n)) for each, n in sorted(outcomes["looks"].items()))]
    return Report(measures, f"{aligned(looks)}\n\n{measure_table(measures)}")


def _timed(bundles: Mapping[str, Path], rows: Path, place: Path, rules: GateRules) -> dict[str, Any]:
    plan = TimingPlan(
        texts=rows / "test.texts.jsonl",
        out=place / "timing.json",
        log=place / "log",
        requests=rules.latency_requests,
        threads=rules.latency_threads,
        seed=rules.seed,
        looks=rules.latency_looks,
        wait_s=rules.quiet_wait_s,
        enough=lambda raw: judge_latency(timings_from_json(raw), rules, HEADS).outcome != "inconclusive",
    )
    found: dict[str, Any] = read_json(Path(time_bundles(bundles, Silent(), plan).path))
    return found


def _slow_copy(sound: Path, rows: Path, place: Path, rules: GateRules, times: float) -> Path:
    """A copy that takes `times` the limit against two of `sound`, by processor time on this machine."""
    probe = broken_copy(sound, place / "probe", slower("topics", 3 * SOUND_PRODUCTS))
    bundles = {"shared": probe, **{f"baseline:{head}": sound for head in HEADS}}
    timings = timings_from_json(_timed(bundles, rows, place, replace(rules, latency_looks=1)))
    probe_ms, sound_ms = (_processor_ms(timings, name) for name in ("shared", "baseline:mood"))
    wanted_ms = times * rules.max_latency_ratio * len(HEADS) * sound_ms
    each_ms = (probe_ms - sound_ms) / (3 * SOUND_PRODUCTS)
    return broken_copy(sound, place / "slow", slower("topics", round((wanted_ms - sound_ms) / each_ms)))


def _processor_ms(timings: Timings, name: str) -> float:
    times = timings.block_times(name, "processor")
    assert times is not None
    return float(np.median(times))


def _by_the_former_rule(timings: Timings, raw: Mapping[str, Any], rules: GateRules) -> str:
    """Wall time, one look, and a control that passes where its bounds hold 1."""
    first = timings.block < raw["looks"][0]["blocks"]
    bare = replace(
        timings,
        **{name: getattr(timings, name)[first] for name in ("block", "bundle", "text", "total_ms")},
        cpu_ms=None,
        caller_ms=None,
        parts_ms={},
        tokens=None,
        looks=1,
    )
    verdict = judge_latency(bare, replace(rules, latency_looks=1), HEADS)
    outcomes = {finding.subject: finding for finding in verdict.findings}
    control = outcomes.pop("A/A control").figures
    tolerance = rules.control_tolerance
    lower, upper = float(control["lower"] or 0), float(control["upper"] or 0)
    near = lower <= 1 + tolerance and upper >= 1 / (1 + tolerance)
    return "pass" if near and all(each.outcome == "pass" for each in outcomes.values()) else "held back"


@contextlib.contextmanager
def _busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but work, ended at the end."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(run(measure))
