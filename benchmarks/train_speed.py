"""Training speed: Headgate's shared model beside `transformers.Trainer` at its defaults.

Both train one network (the packaged encoder, three heads of `configs/feelings.yaml`) on equal rows for
equally many epochs, each in a process of its own, in the order Headgate, Trainer, Headgate. `--against`:
the code of another checkout trains before Trainer and after it, too. Trainer has what it has by default
(learning rate 5e-5, linear decay, fused AdamW, dropout, SDPA attention) with batches of 32, dynamic padding,
and bf16 where the processor multiplies it. At that rate it is not done after a few epochs on few rows:
`--trainer-learning-rate` sets another one, so that both come to about equal metrics. Rows a second are
those of the training loop: loading, tokenising and evaluation are left out on both sides. The mean metric
is read on one set of test rows, thresholds tuned on validation rows for both. --quick: generated rows and a
tiny encoder.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.parts.rows import TINY, merged_rows, tiny_project, working_folder
from tests.support.contract import Report, Size, run
from tests.support.machine import usable_cores
from tests.support.measured_process import run_measured
from tests.support.measures import Measure, at_least, at_most, undecided
from tests.support.sampled_rows import sampled_rows

GOAL = "6 × Trainer's rows/s, padding ≤ 5%, metric not 0.005 lower"
QUICK_S, WHOLE_S = 25, 400
SIZES = {
    "rows": Size(3000, 240, "training rows"),
    "epochs": Size(2, 1, "passes over them"),
}
SHARES = {"emotion": 0.6, "sentiment": 0.25, "toxicity": 0.15}
"""Of the training rows, by head."""
HELD_OUT = {
    "validation": {"emotion": 1000, "sentiment": 423, "toxicity": 299},
    "test": {"emotion": 1500, "sentiment": 800, "toxicity": 700},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Settings of both sides."""
    parser.add_argument("work", nargs="?", type=Path, help="folder that keeps the rows")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--trainer-learning-rate", type=float, default=5e-5, help="default: Trainer's own")
    parser.add_argument("--against", type=Path, help="checkout whose code trains beside this one")
    parser.add_argument("--pair", action="store_true", help="train two side by side at half the threads, too")
    parser.add_argument("--no-trainer", action="store_true", help="leave Trainer out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17], help="of Headgate; each trains")
    parser.add_argument("--held-out", type=float, default=1.0, help="share of validation and test rows")


def measure(options: argparse.Namespace) -> Report:
    """Three trainings, compared."""
    with working_folder(options.work) as work:
        asked: dict[str, Any] = {"epochs": options.epochs, "threads": options.threads}
        if options.quick:
            rows, encoder = tiny_project(work, (options.rows, 90, 150))
            asked["backbone"] = str(encoder)
        else:
            budget = {"train": {h: round(share * options.rows) for h, share in SHARES.items()}}
            for split, most in HELD_OUT.items():
                budget[split] = {head: round(options.held_out * count) for head, count in most.items()}
            whole = merged_rows("feelings", work / "data")
            rows = sampled_rows(whole, budget, seed=17, out=work / f"rows-{options.rows}")
        sides = _all_sides(options, rows, work, asked)
    measures = measures_of(sides)
    return Report(list(undecided(measures, TINY)) if options.quick else measures)


def _all_sides(
    options: argparse.Namespace, rows: Path, work: Path, asked: dict[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Side → its figures, one a training; the order in which they train is said above."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in ("headgate", "trainer", "against", "pair")}

    def train(side: str, seed: int) -> None:
        settings = {**asked, "seed": seed}
        if side == "trainer":
            settings = {**asked, "learning_rate": options.trainer_learning_rate}
        if side == "against":
            settings["code"] = str(options.against.resolve())
        number = sum(map(len, found.values()))
        found[side].append(_run(side, rows, work / f"{side}-{number}", settings))

    ours = ("headgate", "against") if options.against else ("headgate",)
    for number, seed in enumerate(options.seeds):
        for side in ours:
            train(side, seed)
        if number == 0 and not options.no_trainer:
            train("trainer", seed)
    if len(options.seeds) == 1:
        for side in reversed(ours):
            train(side, options.seeds[0])
    if options.pair:
        half = {**asked, "seed": options.seeds[0], "threads": max(1, options.threads // 2)}
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(_run, "headgate", rows, work / f"pair-{n}", half) for n in range(2)]
            found["pair"] = [one.result() for one in both]
    return found


def measures_of(sides: dict[str, list[dict[str, Any]]]) -> list[Measure]:
    """The figures of all sides."""
    ours = sides["headgate"]
    first = ours[0]
    label = f"{first['rows']:,} rows, {first['epochs']} epochs, {first['threads']} threads"
    each = ", ".join(f"{side['rows_per_s']:.0f}" for side in ours)
    peak_mb = max(side["peak_mib"] for side in ours) * 2**20 / 1e6
    measures = [
        Measure(f"{label}: Headgate (of {each})", _rate(ours), "rows/s"),
        Measure("Headgate: padding", 100 * first["padding_share"], "% of tokens", at_most(5)),
        Measure("Headgate: peak memory of the process", peak_mb, "MB", at_most(1200)),
        Measure("Headgate: mean metric", _mean(ours)),
    ]
    if sides["against"]:
        other = sides["against"]
        measures += [
            Measure("other checkout", _rate(other), "rows/s"),
            Measure("Headgate by the other checkout", _rate(ours) / _rate(other), "×", at_least(1.8)),
            Measure("Headgate by the other, by processor time", _spent(other) / _spent(ours), "×"),
            Measure("other checkout: peak memory", max(s["peak_mib"] for s in other) * 2**20 / 1e6, "MB"),
            Measure(
                "Headgate - other checkout, mean metric", _mean(ours) - _mean(other), "", at_least(-0.003)
            ),
        ]
    if sides["pair"]:
        together = sum(side["rows_per_s"] for side in sides["pair"])
        measures.append(Measure("two side by side, half the threads each", together / _rate(ours), "×"))
    if sides["trainer"]:
        plain = sides["trainer"]
        gain = _mean(ours) - _mean(plain)
        measures += [
            Measure("Trainer", _rate(plain), "rows/s"),
            Measure("Headgate by Trainer", _rate(ours) / _rate(plain), "×", at_least(6)),
            Measure("Headgate by Trainer, by processor time", _spent(plain) / _spent(ours), "×"),
            Measure("Trainer: padding", 100 * plain[0]["padding_share"], "% of tokens"),
            Measure(f"Trainer: mean metric at rate {plain[0]['learning_rate']:g}", _mean(plain)),
            Measure("Headgate - Trainer, mean metric", gain, "", at_least(-0.005)),
        ]
    return measures


def _rate(sides: list[dict[str, Any]]) -> float:
    """Rows a second of all trainings of a side together."""
    return len(sides) / sum(1 / side["rows_per_s"] for side in sides)


def _spent(sides: list[dict[str, Any]]) -> float:
    """Mean processor time of a training, in seconds."""
    return sum(float(side["cpu_seconds"]) for side in sides) / len(sides)


def _mean(sides: list[dict[str, Any]]) -> float:
    return sum(float(side["mean_metric"]) for side in sides) / len(sides)


def _run(side: str, rows: Path, out: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """One side in a process of its own."""
    print(f"  {side} …", flush=True)
    lines: list[str] = []
    command = [sys.executable, "-m", "benchmarks.parts.train_speed_side", side, str(rows), str(out)]
    spent = run_measured([*command, json.dumps(asked)], on_line=lines.append)
    result: dict[str, Any] = {**json.loads(lines[-1]), "peak_mib": spent.peak_mib}
    print(f"  {side}: {result['rows_per_s']:.1f} rows/s", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(run(measure))
