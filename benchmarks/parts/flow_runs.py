"""Whole runs of `headgate retrain`, each in a process of its own, on a copy of a configuration."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.parts.compared_fits import read_json

DECIDED = (0, 4)
"""Exit codes of a run that came to a verdict: deployed, or rejected by a gate."""
HEADGATE = [sys.executable, "-m", "flows.cli.commands"]


def copy_of(config: Path, folder: Path, train: Mapping[str, Any] | None = None) -> Path:
    """The configuration in a folder of its own, on any free port, so that it meets no endpoint that serves.

    `train`: fields of the recipe that are changed.
    """
    raw = yaml.safe_load(config.read_text(encoding="utf-8"))
    raw["deploy"] = {**raw.get("deploy", {}), "port": 0}
    if train:
        raw["train"] = {**raw.get("train", {}), **train}
    copy = folder / config.name
    copy.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return copy


def retrain(
    config: Path, home: Path, options: list[str], output: Path | None = None, code: Path | None = None
) -> float:
    """Wall seconds of one run; what it printed goes to the file `output`. `code`: folder of the code that
    runs, where it is not this one.

    Raises:
        RuntimeError: it came to no verdict; the end of its messages is in the message.
    """
    print("  headgate retrain …", flush=True)
    started_s = time.monotonic()
    command = [*HEADGATE, "retrain", str(config), "--home", str(home), *options]
    environment = None if code is None else {**os.environ, "PYTHONPATH": str(code)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=code, env=environment)
    seconds = time.monotonic() - started_s
    if output is not None:
        output.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode not in DECIDED:
        raise RuntimeError(f"retrain ended with status {done.returncode}: {done.stderr[-2000:]}")
    return seconds


def stop(config: Path, home: Path) -> None:
    """Stop what the project of `config` serves, if it serves."""
    name = yaml.safe_load(config.read_text(encoding="utf-8"))["name"]
    subprocess.run([*HEADGATE, "stop", name, "--home", str(home)], capture_output=True)


def fit_seconds(home: Path) -> tuple[float, float]:
    """Training seconds of the latest shared model and of all baselines together."""
    kept = [*home.glob("cache/shared/*/fitted/fit.json"), *home.glob("runs/*/shared/fitted/fit.json")]
    shared = max(kept, key=lambda path: path.stat().st_mtime)
    baselines = home.glob("cache/baselines/*/fitted/fit.json")
    return float(read_json(shared)["seconds"]), sum(float(read_json(path)["seconds"]) for path in baselines)
