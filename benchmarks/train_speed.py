"""Training speed: Headgate's shared model beside `transformers.Trainer` at its defaults.

Both train one network (the packaged encoder, three heads of `configs/feelings.yaml`) on equal rows for
equally many epochs, each in a process of its own, in the order Headgate, Trainer, Headgate. Trainer has
what it has by default (learning rate 5e-5, linear decay, float32, fused AdamW, dropout, SDPA attention)
with batches of 32 and dynamic padding. At that rate it is not done after a few epochs on few rows:
`--trainer-learning-rate` sets another one, so that both come to about equal metrics. Rows a second are
those of the training loop: loading, tokenising and evaluation are left out on both sides. The mean metric
is read on one set of test rows, thresholds tuned on validation rows for both. --quick: generated rows and a
tiny encoder.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.parts.rows import TINY, merged_rows, tiny_project, working_folder
from tests.support.contract import Report, Size, run
from tests.support.machine import usable_cores
from tests.support.measured_process import run_measured
from tests.support.measures import Measure, at_least, at_most, undecided
from tests.support.sampled_rows import sampled_rows

GOAL = "3 × Trainer's rows/s, padding ≤ 5%, metric not 0.005 lower"
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
        each = {"headgate": asked, "trainer": {**asked, "learning_rate": options.trainer_learning_rate}}
        sides = [
            _run(side, rows, work / f"{side}-{number}", each[side])
            for number, side in enumerate(("headgate", "trainer", "headgate"))
        ]
    measures = measures_of(sides)
    return Report(list(undecided(measures, TINY)) if options.quick else measures)


def measures_of(sides: list[dict[str, Any]]) -> list[Measure]:
    """The figures of Headgate, Trainer and Headgate again."""
    first, plain, second = sides
    rates = [side["rows_per_s"] for side in (first, second)]
    ours = len(rates) / sum(1 / rate for rate in rates)
    cpu = [first["cpu_seconds"] + second["cpu_seconds"], 2 * plain["cpu_seconds"]]
    gain = first["mean_metric"] - plain["mean_metric"]
    label = f"{first['rows']:,} rows, {first['epochs']} epochs, {first['threads']} threads"
    return [
        Measure(f"{label}: Headgate (of {rates[0]:.0f} and {rates[1]:.0f})", ours, "rows/s"),
        Measure(f"{label}: Trainer", plain["rows_per_s"], "rows/s"),
        Measure("Headgate by Trainer", ours / plain["rows_per_s"], "×", at_least(3)),
        Measure("Headgate by Trainer, by processor time", cpu[1] / cpu[0], "×"),
        Measure("Headgate: padding", 100 * first["padding_share"], "% of tokens", at_most(5)),
        Measure("Trainer: padding", 100 * plain["padding_share"], "% of tokens"),
        Measure("Headgate: mean metric", first["mean_metric"]),
        Measure(f"Trainer: mean metric at rate {plain['learning_rate']:g}", plain["mean_metric"]),
        Measure("Headgate - Trainer, mean metric", gain, "", at_least(-0.005)),
    ]


def _run(side: str, rows: Path, out: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """One side in a process of its own."""
    print(f"  {side} …", flush=True)
    lines: list[str] = []
    command = [sys.executable, "-m", "benchmarks.parts.train_speed_side", side, str(rows), str(out)]
    run_measured([*command, json.dumps(asked)], on_line=lines.append)
    result: dict[str, Any] = json.loads(lines[-1])
    print(f"  {side}: {result['rows_per_s']:.1f} rows/s", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(run(measure))
