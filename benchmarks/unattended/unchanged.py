"""A run that has nothing to do, beside Prefect's own start: the champion's inputs again.

    python -m benchmarks.unattended.unchanged [CONFIG] [--backbone offline]

Without CONFIG the quickstart, whose data are generated first. One run is deployed; then the same command is
timed, interleaved with an empty Prefect flow that starts the same temporary server. --quick: one head with a
tiny encoder.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.parts.flow_runs import HEADGATE, copy_of, retrain, stop
from benchmarks.parts.rows import CONFIGS
from release.home import Home, environment
from tests.support.contract import CannotMeasure, Report, Size, run
from tests.support.measures import Measure, at_most
from tests.support.tiny_project import deployed_config

GOAL = "at most 8 s beyond Prefect's own start, and nothing is trained or deployed"
QUICK_S, WHOLE_S = 150, 420
SIZES = {"runs": Size(5, 2, "runs with nothing to do")}
EMPTY = "from prefect import flow\n@flow\ndef empty(): pass\nempty()"
"""What Prefect's own start is: its import, a temporary server, a run of a flow that does nothing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which project."""
    parser.add_argument("config", nargs="?", type=Path, default=CONFIGS / "quickstart.yaml")
    parser.add_argument("--backbone", help="another encoder")


def measure(options: argparse.Namespace) -> Report:
    """The runs, timed."""
    with tempfile.TemporaryDirectory(prefix="headgate-unchanged-") as folder:
        config = deployed_config(Path(folder)) if options.quick else options.config
        copy = config if options.quick else copy_of(config, Path(folder))
        home = copy.parent / ".headgate"
        if config.stem == "quickstart":
            command = [sys.executable, "-m", "sources.quickstart.generate", str(home / "quickstart")]
            subprocess.run(command, check=True, capture_output=True)
        backbone = [] if options.backbone is None else ["--backbone", options.backbone]
        try:
            first_s = retrain(copy, home, backbone)
            before = _made(home)
            empty, ours = [], []
            for _ in range(options.runs):
                empty.append(_seconds([sys.executable, "-c", EMPTY], home))
                ours.append(_seconds([*HEADGATE, "retrain", str(copy), "--home", str(home), *backbone], home))
            added = len(_made(home) - before)
        finally:
            stop(copy, home)
    beyond = statistics.median(ours) - statistics.median(empty)
    return Report(
        [
            Measure("first run, which trains", first_s, "s"),
            Measure("Prefect's own start, median", statistics.median(empty), "s"),
            Measure("nothing to do, median", statistics.median(ours), "s"),
            Measure("beyond Prefect's own start", beyond, "s", at_most(8)),
            Measure("trainings and versions added", added, "", at_most(0)),
        ]
    )


def _seconds(command: list[str], home: Path) -> float:
    given = {**os.environ, **environment(Home(home), given={})}
    started_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=given)
    seconds = time.monotonic() - started_s
    if done.returncode != 0 or ("retrain" in command and "Unchanged" not in done.stdout):
        raise CannotMeasure(f"{' '.join(command[:4])} … did not end as expected: {done.stderr[-1500:]}")
    return seconds


def _made(home: Path) -> set[str]:
    """What only a training or a promotion leaves."""
    found = [*home.glob("cache/*/*/fitted/fit.json"), *home.glob("releases/*/versions/*")]
    return {str(path) for path in found}


if __name__ == "__main__":
    sys.exit(run(measure))
