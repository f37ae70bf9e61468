"""Registries and state folders that are moved, lost, copied and cleaned up, under each command in turn.

The release folder says what serves: whatever a registry loses, a retraining, a rollback and a promotion by
hand go on, and `status` says what serves; a registry of another story is noticed before anything is trained
and stays as it is; what is done in a copy of a state folder changes nothing in the original.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.contract import Report, Size, run
from tests.support.forks import in_a_child
from tests.support.kill_cases import quiet
from tests.support.measures import Measure, aligned, at_least, at_most, measure_table
from tests.support.registry_worlds import ACTIONS, LOSSES, PLACES, STRANGERS, WORLDS, tried
from tests.support.toy_release import warm_up

GOAL = "every command comes to what is right in every world"
QUICK_S, WHOLE_S = 45, 200
SIZES = {"cases": Size(len(WORLDS) * len(ACTIONS), len(WORLDS), "pairs of a world and a command")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Seed and place."""
    parser.add_argument("--seed", type=int, default=0, help="which pairs are tried, where not all are")
    parser.add_argument("--folder", type=Path, help="where to work; in memory (/dev/shm) it is faster")


def chosen(count: int, seed: int) -> list[tuple[str, str]]:
    """So many pairs of a world and a command: every world before any of them a second time."""
    dice = random.Random(seed)
    rounds = [list(ACTIONS) for _ in WORLDS]
    for commands in rounds:
        dice.shuffle(commands)
    pairs = [
        (world, commands[number])
        for number in range(len(ACTIONS))
        for world, commands in zip(WORLDS, rounds, strict=True)
    ]
    return pairs[:count]


def measure(options: argparse.Namespace) -> Report:
    """Tries each pair in a process of its own, on a world of its own."""
    with tempfile.TemporaryDirectory(prefix="headgate-registry-", dir=options.folder) as folder:
        root = Path(folder)
        quiet(root / "libraries")
        store = warm_up(root / "warm")
        log, right = root / "children.log", {}
        for number, (world, command) in enumerate(chosen(options.cases, options.seed)):
            right[world, command] = _right(world, command, root / str(number), store, log)
    measures = measures_of(right)
    return Report(measures, tables=f"{table(right)}\n\n{measure_table(measures)}")


def _right(world: str, command: str, root: Path, store: Path, log: Path) -> bool:
    begin = time.monotonic()
    code = in_a_child(lambda: tried(world, command, root, store), log=log)
    said = "right" if code == 0 else f"WRONG, exit code {code}: {log.read_text()[-1500:]}"
    print(f"{world}, {command}: {said}, {time.monotonic() - begin:.1f} s", file=sys.stderr)
    return code == 0


def measures_of(right: dict[tuple[str, str], bool]) -> list[Measure]:
    """Pairs tried and right, by kind of world."""
    found = []
    for what, worlds in (
        ("losses in the registry", LOSSES),
        ("registries of another story", STRANGERS),
        ("moved and copied state folders", PLACES),
    ):
        seen = [good for (world, _), good in right.items() if world in worlds]
        found.append(Measure(f"{what} × commands", len(seen), "cases", at_least(1)))
        found.append(Measure(f"{what}: wrong", seen.count(False), "cases", at_most(0)))
    return found


def table(right: dict[tuple[str, str], bool]) -> str:
    """A row a world, a column a command."""
    rows: list[Sequence[str]] = [("world", *ACTIONS)]
    word = {None: "", True: "right", False: "WRONG"}
    for world in WORLDS:
        cells = [word[right.get((world, command))] for command in ACTIONS]
        if any(cells):
            rows.append((world, *cells))
    return aligned(rows)


if __name__ == "__main__":
    sys.exit(run(measure))
