"""Training speed: Headgate's shared model beside `transformers.Trainer` at its defaults, in one run.

    HEADGATE_DATA=… python -m benchmarks.train_speed [--rows 3000] [--epochs 2] [--threads 2]
        [--trainer-learning-rate 2e-4]

Both train the same network (the packaged encoder, three heads of `configs/feelings.yaml`) on the same rows
for as many epochs, each in a process of its own, in the order Headgate, Trainer, Headgate. Trainer has what
it has by default (learning rate 5e-5, linear decay, float32, fused AdamW, dropout, SDPA attention) with
batches of 32 and dynamic padding. At that rate it is not done after a few epochs on few rows:
`--trainer-learning-rate` gives it another one, so that both come to about the same metric. Rows a second are
those of the training loop: loading, tokenising and evaluation are left out on both sides. The mean metric is
read on the same test rows, thresholds tuned on validation rows for both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.real_rows import merged_rows, sampled_rows
from tests.support.machine import describe_machine, usable_cores
from tests.support.result import Measure, at_least, at_most, report

SHARES = {"emotion": 0.6, "sentiment": 0.25, "toxicity": 0.15}
"""Of the training rows, by head."""

HELD_OUT = {
    "validation": {"emotion": 1000, "sentiment": 423, "toxicity": 299},
    "test": {"emotion": 1500, "sentiment": 800, "toxicity": 700},
}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_speed", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--rows", type=int, default=3000, help="training rows")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--trainer-learning-rate", type=float, default=5e-5, help="default: Trainer's own")
    parser.add_argument("--held-out", type=float, default=1.0, help="share of validation and test rows")
    parser.add_argument("--work", type=Path, help="keep the rows here (default: a temporary folder)")
    options = parser.parse_args(arguments)
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="headgate-speed-") as temporary:
        work = options.work or Path(temporary)
        budget = {"train": {h: round(share * options.rows) for h, share in SHARES.items()}}
        for split, most in HELD_OUT.items():
            budget[split] = {head: round(options.held_out * rows) for head, rows in most.items()}
        whole = merged_rows("feelings", work / "data")
        rows = sampled_rows(whole, budget, seed=17, out=work / f"rows-{options.rows}")
        asked = {"epochs": options.epochs, "threads": options.threads}
        own = {"headgate": asked, "trainer": {**asked, "learning_rate": options.trainer_learning_rate}}
        sides = [
            _run(side, rows, Path(temporary) / str(i), own[side])
            for i, side in enumerate(("headgate", "trainer", "headgate"))
        ]
    return report("train_speed", measures_of(sides), machine)


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
        Measure("the same by processor time, for a busy machine", cpu[1] / cpu[0], "×"),
        Measure("Headgate: padding", 100 * first["padding_share"], "% of tokens", at_most(5)),
        Measure("Trainer: padding", 100 * plain["padding_share"], "% of tokens"),
        Measure("Headgate: mean metric", first["mean_metric"], ""),
        Measure(f"Trainer: mean metric at rate {plain['learning_rate']:g}", plain["mean_metric"], ""),
        Measure("Headgate - Trainer, mean metric", gain, "", at_least(-0.005)),
    ]


def _run(side: str, rows: Path, out: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """One side in a process of its own.

    Raises:
        RuntimeError: it failed; its last lines are in the message.
    """
    print(f"  {side} …", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.train_speed_side", side, str(rows), str(out)]
    done = subprocess.run([*command, json.dumps(asked)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{side} failed with status {done.returncode}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {side}: {result['rows_per_s']:.1f} rows/s", file=sys.stderr, flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
