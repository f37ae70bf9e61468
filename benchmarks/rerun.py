"""A scheduled rerun against the first run: one project twice from a fresh state folder.

    python -m benchmarks.rerun [CONFIG] [--backbone offline]

Without CONFIG the quickstart, whose data are generated first. The second run finds its baselines in the
cache; both merge, judge, train the shared model, package, score, time and decide. --quick: one head, a tiny
encoder, generated rows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.parts.flow_runs import copy_of, fit_seconds, retrain, stop, tiny_config
from benchmarks.parts.rows import CONFIGS, TINY
from tests.support.contract import Report, run
from tests.support.measures import Measure, at_most, undecided

GOAL = "the second run takes at most half of the first"
QUICK_S, WHOLE_S = 60, 520


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which project."""
    parser.add_argument("config", nargs="?", type=Path, default=CONFIGS / "quickstart.yaml")
    parser.add_argument("--backbone", help="another encoder")


def measure(options: argparse.Namespace) -> Report:
    """Two runs, timed."""
    with tempfile.TemporaryDirectory(prefix="headgate-rerun-") as folder:
        config = tiny_config(Path(folder)) if options.quick else options.config
        (Path(folder) / "run").mkdir()
        copy = copy_of(config, Path(folder) / "run")
        home = copy.parent / ".headgate"
        if config.stem == "quickstart":
            command = [sys.executable, "-m", "sources.quickstart.generate", str(home / "quickstart")]
            subprocess.run(command, check=True, capture_output=True)
        backbone = [] if options.backbone is None else ["--backbone", options.backbone]
        try:
            seconds = [retrain(copy, home, backbone) for _ in range(2)]
        finally:
            stop(copy, home)
        measures = measures_of(seconds, fit_seconds(home))
    return Report(list(undecided(measures, TINY)) if options.quick else measures)


def measures_of(seconds: Sequence[float], fits: tuple[float, float]) -> list[Measure]:
    """The figures of two runs (wall seconds) and of the trainings in them."""
    first, second = seconds
    shared, baselines = fits
    return [
        Measure("first run", first, "s"),
        Measure("second run, baselines cached", second, "s"),
        Measure("second by first", second / first, "×", at_most(0.5)),
        Measure("training: shared model", shared, "s"),
        Measure("training: its baselines together", baselines, "s"),
        Measure("shared by baselines", shared / baselines, "×"),
    ]


if __name__ == "__main__":
    sys.exit(run(measure))
