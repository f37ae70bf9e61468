"""Damaged files of the state folder, each against seven commands, each time on a fresh copy of one project.

Right is: caches are made again and nobody notices; what a newer version wrote is read as far as it is known,
and stays; every other command works, or says in a few lines which file is damaged and what to do, with an
exit code of the table. Never a traceback. `--only TEXT` tries the corruptions whose name holds it.

Goals: no cell is wrong.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from release.home import Home, environment
from tests.support.contract import Report, Size, run
from tests.support.corrupt_kinds import KINDS, NEWER, RELEASED, Kind
from tests.support.corrupt_world import (
    FLOWS,
    Damageable,
    Ran,
    import_once,
    prefect_server,
    toy_project,
    trained_project,
)
from tests.support.measures import Measure, aligned, at_least, at_most, measure_table

GOAL = "no traceback; every cell heals, works, or says what is damaged, where, and what to run"
QUICK_S, WHOLE_S = 50, 3000
SIZES = {"every": Size(1, 9, "try one corruption in so many")}
COMMANDS = ("retrain", "validate", "status", "rollback", "promote", "serve", "predict")
"""`predict` is followed by `stop`."""
CODES = frozenset(range(5))
"""Of `flows.cli.exit_codes`."""
ADVICE = re.compile(
    r"`[^`]+`|\b(run again|restore|remove|move \w+|headgate \w+|chmod|write it there|register it again)\b",
    re.IGNORECASE,
)
"""What says what to do."""
WRONG = "WRONG"


@dataclass(frozen=True, slots=True)
class Cell:
    """One corruption against one command."""

    kind: str
    command: str
    came_to: str
    """`works`, `says`, or `WRONG: …`."""


def try_cell(project: Damageable, kind: Kind, command: str) -> Cell:
    """Damage a fresh state folder and run the command."""
    project.restore()
    if command == "predict":
        project.run("serve")
    files = damaged_files(project, kind)
    for file in files:
        kind.harm(file)
    if kind.file.startswith("prefect/") and command in FLOWS:
        ran = project.run_alone(command)
    else:
        ran = project.run(command, whole=kind.cache and command == "retrain")
    came_to = judged(kind, command, ran, files[0].name)
    if command == "predict" and not came_to.startswith(WRONG):
        stopped = judged(kind, "stop", project.run("stop"), files[0].name)
        came_to = stopped if stopped.startswith(WRONG) else came_to
    if kind.stays and not all(NEWER.encode() in file.read_bytes() for file in files):
        came_to = f"{WRONG}: what a newer version wrote is gone"
    return Cell(kind.name, command, came_to)


def damaged_files(project: Damageable, kind: Kind) -> list[Path]:
    """The files that are to be damaged.

    Raises:
        LookupError: the project has none.
    """
    pattern = kind.file.replace("NAME", project.name)
    found = sorted(project.home.glob(pattern)) if "*" in pattern else [project.home / pattern]
    if not found or not (kind.file.startswith("prefect/") or found[0].exists()):
        raise LookupError(f"{kind.name}: the project has no {pattern}")
    return found


def judged(kind: Kind, command: str, ran: Ran, name: str) -> str:
    """Whether a command did right by damaged files of this name."""
    if "Traceback" in ran.output or ran.code not in CODES:
        return f"{WRONG}: a traceback, or exit code {ran.code}: {_last(ran)}"
    stopped_by_a_gate = command in FLOWS and ran.code in (3, 4) and "Rejected" in ran.output
    if ran.code == 0 or stopped_by_a_gate:
        return f"{WRONG}: took it for sound" if command in kind.refused_by else "works"
    if kind.heals or command in kind.not_read_by:
        return f"{WRONG}: did not heal: {_last(ran)}"
    if name not in ran.output:
        return f"{WRONG}: does not name {name}: {_last(ran)}"
    return "says" if ADVICE.search(ran.output) else f"{WRONG}: says nothing to do: {_last(ran)}"


def _last(ran: Ran) -> str:
    return (ran.output.strip().splitlines() or ["no output"])[-1][:160]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which corruptions."""
    parser.add_argument("--only", default="", help="try the corruptions whose name holds this")


def table(cells: list[Cell]) -> str:
    """A row a corruption, a column a command."""
    rows = [("damaged", *COMMANDS)]
    for kind in dict.fromkeys(cell.kind for cell in cells):
        came_to = {cell.command: cell.came_to.split(":")[0] for cell in cells if cell.kind == kind}
        rows.append((kind, *(came_to.get(command, "") for command in COMMANDS)))
    return aligned(rows)


def measure(options: argparse.Namespace) -> Report:
    """Try the corruptions; with `--quick` those of a release, on toy versions, without flows."""
    quick = options.quick
    commands = [command for command in COMMANDS if not quick or command not in FLOWS]
    kinds = [kind for kind in (RELEASED if quick else KINDS)[:: options.every] if options.only in kind.name]
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory(prefix="headgate-corruptions-") as temporary:
        root = Path(temporary) / "project"
        root.mkdir()
        if quick:
            os.environ.update(environment(Home(root / "home"), given={}))
            cells += _try_all(toy_project(root), kinds, commands)
        else:
            with prefect_server(Path(temporary) / "prefect"):
                import_once("flows.retrain", "flows.validate", "great_expectations")
                cells += _try_all(trained_project(root), kinds, commands)
    wrong = [cell for cell in cells if cell.came_to.startswith(WRONG)]
    some = quick or options.only or options.every > 1
    measures = [
        Measure("corruptions", len(kinds), "", at_least(1 if some else 36)),
        Measure("cells", len(cells), "", at_least(1 if some else 36 * 7)),
        Measure("tracebacks", sum("a traceback" in cell.came_to for cell in wrong), "", at_most(0)),
        Measure("cells that are wrong", len(wrong), "", at_most(0)),
    ]
    return Report(measures, f"{table(cells)}\n\n{measure_table(measures)}")


def _try_all(project: Damageable, kinds: list[Kind], commands: list[str]) -> list[Cell]:
    cells = []
    try:
        for kind in kinds:
            for command in commands:
                cells.append(try_cell(project, kind, command))
                print(f"  {kind.name}  {command}: {cells[-1].came_to}", flush=True)
    finally:
        project.end_endpoints()
    return cells


if __name__ == "__main__":
    sys.exit(run(measure))
