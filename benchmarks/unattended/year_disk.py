"""The disk after a year: a retraining each week, a validation each day, and what `keep` leaves of them.

    python -m benchmarks.unattended.year_disk                # the quickstart
    python -m benchmarks.unattended.year_disk --days 730

One retraining and two validations are run and measured, file by file. Then the days are played on a clock of
their own: each run leaves files of the same sizes (sparse ones), each week's data are others, and after each
run the real rules decide what goes. Every retraining is taken to deploy and to train all baselines anew: the
most that a week can leave. What lies in databases and in the registry is counted, not played.
--quick: eight weeks of a project of one head with a tiny encoder, whose sizes say nothing of the goal.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.parts.flow_runs import HEADGATE, copy_of, retrain, stop
from benchmarks.parts.rows import CONFIGS
from model.files import process_space, remove_folder, write_json
from release.home import Home
from release.keep.owner import OWNER_FILE
from release.keep.plan import DAY_S, Kept, plan, size_of
from release.keep.spec import KeepSpec
from release.kept_evidence import KEPT_FILE
from tests.support.contract import Report, Size, run
from tests.support.measures import Measure, at_most
from tests.support.tiny_project import tiny_config

GOAL = "a year of the quickstart leaves at most 10 GB"
QUICK_S, WHOLE_S = 120, 600
SIZES = {"days": Size(365, 56, "days that are played; a retraining on each seventh")}
LIMIT_GB = 10.0
GB, MB = 1e9, 1e6
DEAD = 2**22 + 1
"""Larger than any process id of Linux: its runs have ended."""
WHOLE = ("runs", "data", "cache", "reports", "logs")
"""Folders whose growth is played."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What one run left: file below the state folder → bytes."""

    files: dict[Path, int]
    run: str
    fingerprint: str

    def size(self, *folders: str) -> int:
        """Bytes below these folders of the state folder."""
        return sum(size for path, size in self.files.items() if path.parts[0] in folders)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which project."""
    parser.add_argument("config", nargs="?", type=Path, default=CONFIGS / "quickstart.yaml")


def measure(options: argparse.Namespace) -> Report:
    """Measure the runs, play the days."""
    with tempfile.TemporaryDirectory(prefix="headgate-year-") as folder:
        place = Path(folder)
        config = tiny_config(place) if options.quick else options.config
        (place / "run").mkdir()
        copy = copy_of(config, place / "run")
        home = copy.parent / ".headgate"
        if config.stem == "quickstart":
            command = [sys.executable, "-m", "sources.quickstart.generate", str(home / "quickstart")]
            subprocess.run(command, check=True, capture_output=True)
        try:
            _validate(copy, home)
            before = _files(home)
            _validate(copy, home)
            validation = _growth(home, before)
            before = _files(home)
            retrain(copy, home, [])
            training = _growth(home, before, whole_dataset=True)
        finally:
            stop(copy, home)
        played = Home(place / "played")
        name = yaml.safe_load(copy.read_text(encoding="utf-8"))["name"]
        sizes = [play(played, name, training, validation, day) for day in range(1, options.days + 1)]
        measures = measures_of(training, validation, sizes, options.days, quick=options.quick)
    return Report(measures)


def play(home: Home, name: str, training: Growth, validation: Growth, day: int) -> int:
    """One day: its runs, and what the rules leave; bytes of the folders that are played."""
    now, week = 2e9 + day * DAY_S, f"{day // 7:08x}"
    runs = [(validation, f"validated{day:05d}-{week}")]
    if day % 7 == 0:
        runs.insert(0, (training, f"trained{day:05d}-{week}"))
    for growth, run_id in runs:
        _leave(home, name, growth, run_id, week, now)
        kept = Kept(
            fingerprints=[week], runs=[f"trained{day - day % 7 - 7 * past:05d}-{week}" for past in range(5)]
        )
        for going in plan(home, name, KeepSpec(), kept, now):
            remove_folder(going.path)
    return sum(size_of(home.root / folder) for folder in WHOLE)


def measures_of(
    training: Growth, validation: Growth, sizes: list[int], days: int, *, quick: bool
) -> list[Measure]:
    """The figures: of one run, of all without rules, of all with them."""
    weeks, keep = days // 7, KeepSpec()
    databases = weeks * training.size("mlflow.db", "prefect") + days * validation.size("mlflow.db", "prefect")
    model, version = training.size("models"), training.size("releases")
    records = weeks * training.size("mlflow")
    # In the registry what may serve and the candidates; in the release folder at most twice the number.
    kept = (keep.versions + keep.candidates) * model + (2 * keep.versions + 1) * version
    one, other = training.size(*WHOLE), validation.size(*WHOLE)
    alone = weeks * (one + model + version) + days * other + databases + records
    end = sizes[-1] + kept + databases + records
    why = "a tiny encoder, a few weeks" if quick else ""
    return [
        Measure("one retraining leaves in all", sum(training.files.values()) / MB, "MB"),
        Measure("one validation leaves in all", sum(validation.files.values()) / MB, "MB"),
        Measure(f"{weeks} retrainings, {days} validations, nothing removed", alone / GB, "GB"),
        Measure("files of runs at the end", sizes[-1] / GB, "GB"),
        Measure("files of runs, most on any day", max(sizes) / GB, "GB"),
        Measure("models that may serve, and candidates", kept / GB, "GB"),
        Measure("records and pages in the registry", records / GB, "GB"),
        Measure("databases, nothing removed from them", databases / GB, "GB"),
        Measure("in all, with the rules", end / GB, "GB", at_most(LIMIT_GB), why),
    ]


def _validate(config: Path, home: Path) -> None:
    print("  headgate validate …", flush=True)
    done = subprocess.run(
        [*HEADGATE, "validate", str(config), "--home", str(home)], capture_output=True, text=True
    )
    if done.returncode not in (0, 3):
        raise RuntimeError(f"validate ended with status {done.returncode}: {done.stderr[-2000:]}")


def _files(home: Path) -> dict[Path, int]:
    return {path.relative_to(home): path.lstat().st_size for path in home.rglob("*") if path.is_file()}


def _growth(home: Path, before: dict[Path, int], *, whole_dataset: bool = False) -> Growth:
    """What was added since. A dataset that was there already counts, too: another week has another."""
    files: dict[Path, int] = {}
    for path, size in _files(home).items():
        more = size if whole_dataset and path.parts[0] == "data" else size - before.get(path, 0)
        if more > 0:
            files[_named(path)] = files.get(_named(path), 0) + more
    run_id = max(path.parts[1] for path in files if path.parts[0] == "runs")
    return Growth(files, run_id, run_id.rpartition("-")[2])


def _named(path: Path) -> Path:
    """The path, with what MLflow keeps under names that say what it is."""
    if path.parts[0] != "mlflow":
        return path
    if "artifacts" not in path.parts:
        return Path("mlflow.db", *path.parts[1:])
    return Path("models", *path.parts[1:]) if "models" in path.parts else path


def _leave(home: Home, name: str, growth: Growth, run_id: str, week: str, now: float) -> None:
    """Files as the measured run left them, under the names of another run and week."""
    owner = {"project": name, "pid": DEAD, "start": 1, "where": process_space()}
    for path, size in growth.files.items():
        if path.parts[0] not in WHOLE:
            continue
        target = home.root / _moved(path, growth, run_id, week)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            file.truncate(size)
    folder, made = home.runs / run_id, _made(home.cache, growth, run_id, week)
    write_json(folder / OWNER_FILE, owner)
    if (kept := folder / "evidence" / KEPT_FILE).exists():
        run_of = {"folder": str(folder), "name": name}
        write_json(
            kept,
            {
                "run": run_of,
                "dataset": str(home.data / week),
                "bundles": {str(n): str(one) for n, one in enumerate(made)},
            },
        )
    for root in (home.runs, home.reports, home.logs, home.data, home.cache):
        for top in _made(root, growth, run_id, week):
            for one in (*top.rglob("*"), top):
                os.utime(one, (now, now))


def _moved(path: Path, growth: Growth, run_id: str, week: str) -> Path:
    first, second, *others = path.parts
    if second == growth.run:
        return Path(first, run_id, *others)
    if first == "data":
        return Path(first, f"{week}00000000", *others)
    if first == "cache" and others:
        return Path(first, second, f"{week}{others[0]}", *others[1:])
    return path


def _made(root: Path, growth: Growth, run_id: str, week: str) -> list[Path]:
    """What was left of it below one folder."""
    if root.name == "cache":
        return [entry for kind in root.iterdir() if kind.is_dir() for entry in kind.glob(f"{week}*")]
    return [path for path in root.iterdir() if path.name in (run_id, f"{week}00000000")]


if __name__ == "__main__":
    sys.exit(run(measure))
