"""A scheduled rerun against the first run: one project twice from a fresh state folder.

    python -m benchmarks.rerun [CONFIG] [--backbone offline]

Without CONFIG the quickstart, whose data are generated first. The second run finds its baselines in the
cache; both merge, judge, train the shared model, package, score, time and decide. --quick: only the first
run, of one head with a tiny encoder on generated rows; two do not end within a minute.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.parts.flow_runs import copy_of, fit_seconds, retrain, stop
from benchmarks.parts.rows import CONFIGS
from tests.support.contract import Report, Size, run
from tests.support.measures import Measure, at_most
from tests.support.tiny_project import tiny_config

GOAL = "the second run takes at most half of the first"
QUICK_S, WHOLE_S = 78, 520
SIZES = {"runs": Size(2, 1, "runs; the figures are of the first two")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which project."""
    parser.add_argument("config", nargs="?", type=Path, default=CONFIGS / "quickstart.yaml")
    parser.add_argument("--backbone", help="another encoder")


def measure(options: argparse.Namespace) -> Report:
    """The runs, timed."""
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
            forced = [*backbone, "--force"]  # the same inputs would end `Unchanged`
            seconds = [retrain(copy, home, forced if n else backbone) for n in range(options.runs)]
        finally:
            stop(copy, home)
        measures = measures_of(seconds, fit_seconds(home))
    return Report(measures)


def measures_of(seconds: Sequence[float], fits: tuple[float, float]) -> list[Measure]:
    """The figures of the runs (wall seconds) and of the trainings in them."""
    second = seconds[1] if len(seconds) > 1 else None
    once = "" if second is not None else "only one run was asked for"
    ratio = None if second is None else second / seconds[0]
    shared, baselines = fits
    return [
        Measure("first run", seconds[0], "s"),
        Measure("second run, baselines cached", second, "s", undecided=once),
        Measure("second by first", ratio, "×", at_most(0.5), once),
        Measure("training: shared model", shared, "s"),
        Measure("training: its baselines together", baselines, "s"),
        Measure("shared by baselines", shared / baselines, "×"),
    ]


if __name__ == "__main__":
    sys.exit(run(measure))
