"""A scheduled rerun against the first run: the same project twice from a fresh state folder.

    python -m benchmarks.rerun [CONFIG] [--backbone offline]

Without CONFIG the quickstart, whose data are generated first. The second run finds its baselines in the
cache; both merge, judge, train the shared model, package, score, time and decide. Also told: the shared
model's training time against the sum of its baselines'.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.real_rows import CONFIGS
from tests.support.machine import describe_machine
from tests.support.result import Measure, at_most, report

DECIDED = (0, 4)
"""Exit codes of a run that came to its end: deployed, or rejected by a gate."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rerun", description=__doc__.split("\n")[0])
    parser.add_argument("config", nargs="?", type=Path, default=CONFIGS / "quickstart.yaml")
    parser.add_argument("--backbone", help="another encoder")
    options = parser.parse_args(arguments)
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="headgate-rerun-") as folder:
        config = copy_of(options.config, Path(folder))
        home = config.parent / ".headgate"
        if options.config.stem == "quickstart":
            command = [sys.executable, "-m", "sources.quickstart.generate", str(home / "quickstart")]
            subprocess.run(command, check=True, capture_output=True)
        backbone = [] if options.backbone is None else ["--backbone", options.backbone]
        try:
            seconds = [retrain(config, home, backbone) for _ in range(2)]
        finally:
            stop(config, home)
        fits = fit_seconds(home)
    return report("rerun", measures_of(seconds, fits), machine)


HEADGATE = [sys.executable, "-m", "flows.cli.commands"]


def copy_of(config: Path, folder: Path, train: Mapping[str, Any] | None = None) -> Path:
    """The configuration in a folder of its own, with any free port, so that nothing that serves is met.

    `train`: fields of the recipe that are changed.
    """
    raw = yaml.safe_load(config.read_text(encoding="utf-8"))
    raw["deploy"] = {**raw.get("deploy", {}), "port": 0}
    if train:
        raw["train"] = {**raw.get("train", {}), **train}
    copy = folder / config.name
    copy.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return copy


def stop(config: Path, home: Path) -> None:
    """Stop what the project of `config` serves, if it serves."""
    name = yaml.safe_load(config.read_text(encoding="utf-8"))["name"]
    subprocess.run([*HEADGATE, "stop", name, "--home", str(home)], capture_output=True)


def fit_seconds(home: Path) -> tuple[float, float]:
    """Training seconds of the latest shared model and of all baselines together."""
    shared = max(home.glob("runs/*/shared/fitted/fit.json"))
    baselines = list(home.glob("cache/baselines/*/fitted/fit.json"))
    return _seconds(shared), sum(_seconds(path) for path in baselines)


def measures_of(seconds: list[float], fits: tuple[float, float]) -> list[Measure]:
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


def _seconds(path: Path) -> float:
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return float(facts["seconds"])


def retrain(config: Path, home: Path, options: list[str], output: Path | None = None) -> float:
    """Wall seconds of one run in a process of its own; what it printed goes to the file `output`.

    Raises:
        RuntimeError: it did not come to a verdict; its last lines are in the message.
    """
    print("  headgate retrain …", file=sys.stderr, flush=True)
    started_s = time.monotonic()
    command = [*HEADGATE, "retrain", str(config), "--home", str(home), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.monotonic() - started_s
    if output is not None:
        output.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode not in DECIDED:
        raise RuntimeError(f"retrain ended with status {done.returncode}: {done.stderr[-2000:]}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
