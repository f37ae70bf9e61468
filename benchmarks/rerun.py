"""A scheduled rerun against the first run, and beside other code: one project, its runs in turn.

    python -m benchmarks.rerun [CONFIG] [--backbone offline] [--rows 5000] [--against WORKTREE]

Without CONFIG the quickstart, whose data are generated first. Its second run has 1% new rows; that of another
project has the same, so that its baselines are found in the cache. Both merge, judge, train the shared model,
package, score, time and decide. Processor seconds are those of all processes of a run but the endpoint's;
they hardly depend on what else the machine does. --quick: only the first run, of one head with a tiny
encoder on generated rows; two do not end within a minute."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.parts.flow_runs import copy_of, fit_seconds, retrain, stop
from benchmarks.parts.rows import CONFIGS
from tests.support.contract import Report, Size, run
from tests.support.measures import Measure, at_most
from tests.support.tiny_project import tiny_config

GOAL = "the second run takes at most half of the first"
QUICK_S, WHOLE_S = 78, 520
SIZES = {"runs": Size(2, 1, "runs; the figures are of the first two")}


NEW_ROWS = 0.01
"""Share of rows that are new in the quickstart's second run."""
FILES = ("reviews.csv", "tickets.jsonl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which project, and what it is compared with."""
    parser.add_argument("config", nargs="?", type=Path, default=CONFIGS / "quickstart.yaml")
    parser.add_argument("--backbone", help="another encoder")
    parser.add_argument("--rows", type=int, default=5000, help="texts of the quickstart")
    parser.add_argument("--against", type=Path, help="worktree of other code, which runs in turn")


def measure(options: argparse.Namespace) -> Report:
    """The runs, timed."""
    with tempfile.TemporaryDirectory(prefix="headgate-rerun-") as folder:
        config = tiny_config(Path(folder)) if options.quick else options.config
        sides: dict[str, Path | None] = {"": None}
        if options.against is not None:
            sides["before: "] = options.against.resolve()
        copies = dict[str, Path]()
        spent: dict[str, list[Spent]] = {name: [] for name in sides}
        for number, name in enumerate(sides):
            (Path(folder) / f"run-{number}").mkdir()
            copies[name] = copy_of(_known_to(sides[name], config), Path(folder) / f"run-{number}")
        generated = config.stem == "quickstart"
        given = [] if options.backbone is None else ["--backbone", options.backbone]
        try:
            for number in range(options.runs):
                for name, code in sides.items():
                    home = copies[name].parent / ".headgate"
                    if generated:
                        _generate(home / "quickstart", options.rows, number)
                    forced = ["--force"] if number and not generated else []  # else it would end `Unchanged`
                    spent[name].append(_retrained(copies[name], home, [*given, *forced], code))
        finally:
            for copy in copies.values():
                stop(copy, copy.parent / ".headgate")
        fits = {name: fit_seconds(copy.parent / ".headgate") for name, copy in copies.items()}
    return Report([one for name in sides for one in measures_of(name, spent[name], fits[name], spent[""])])


def _known_to(code: Path | None, config: Path) -> Path:
    """The configuration as other code has it, which may not know all fields of today's."""
    theirs = None if code is None else code / "configs" / config.name
    return theirs if theirs is not None and theirs.is_file() else config


def _retrained(config: Path, home: Path, options: list[str], code: Path | None) -> Spent:
    before = os.times()
    seconds = retrain(config, home, options, code=code)
    now = os.times()
    used = now.children_user + now.children_system - before.children_user - before.children_system
    return Spent(seconds, used)


def _generate(out: Path, rows: int, number: int) -> None:
    """The quickstart's sources; on later runs with some more rows."""
    place = out if not number else out / f"more-{number}"
    rows = rows if not number else max(1, int(rows * NEW_ROWS))
    command = [sys.executable, "-m", "sources.quickstart.generate", str(place), "--rows", str(rows)]
    subprocess.run([*command, "--seed", str(17 + number)], check=True, capture_output=True)
    for name in FILES if number else ():
        lines = (place / name).read_text(encoding="utf-8").splitlines(keepends=True)
        with (out / name).open("a", encoding="utf-8") as file:
            file.writelines(lines[1 if name.endswith(".csv") else 0 :])


class Spent(NamedTuple):
    """What a run took, in seconds."""

    wall: float
    processor: float


def measures_of(
    name: str, spent: Sequence[Spent], fits: tuple[float, float], ours: Sequence[Spent]
) -> list[Measure]:
    """The figures of the runs of one code and of the trainings in them; beside other code, `ours` by them."""
    second = spent[1] if len(spent) > 1 else None
    once = "" if second is not None else "only one run was asked for"
    ratio = None if second is None else second.wall / spent[0].wall
    shared, baselines = fits
    found = [
        Measure(f"{name}first run", spent[0].wall, "s"),
        Measure(f"{name}first run, processor", spent[0].processor, "s"),
        Measure(f"{name}second run", second and second.wall, "s", undecided=once),
        Measure(f"{name}second run, processor", second and second.processor, "s", undecided=once),
        Measure(f"{name}second by first", ratio, "×", None if name else at_most(0.5), once),
        Measure(f"{name}training: shared model", shared, "s"),
        Measure(f"{name}training: its baselines together", baselines, "s"),
        Measure(f"{name}shared by baselines", shared / baselines, "×"),
    ]
    if name:
        found.append(Measure("first run, by before", ours[0].wall / spent[0].wall, "×", at_most(0.45)))
        found.append(Measure("processor, by before", ours[0].processor / spent[0].processor, "×"))
    return found


if __name__ == "__main__":
    sys.exit(run(measure))
