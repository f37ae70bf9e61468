"""Deployments and rollbacks to an endpoint that hangs, is busy, dies, or does not know the token any more.

Every version here passed its gates and answers as it was judged, so none may be refused, withdrawn or
dropped: where the endpoint can be asked in the end, the move is made; where it can't, the version that the
gates approved last stays the champion and the next start asks again. Each case is a real project with a
registry and an endpoint of its own.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.support.contract import Report, Size, run
from tests.support.kill_cases import quiet
from tests.support.measures import Measure, at_least, at_most
from tests.support.move_troubles import DIRECTIONS, TROUBLES, Direction, Met, Trouble, flaws
from tests.support.toy_release import make_world, warm_up

GOAL = "every move ends as it should, no sound version is lost"
QUICK_S, WHOLE_S = 55, 600
SIZES = {"repeat": Size(4, 1, "times that each case is tried")}
Case = tuple[Trouble, Direction]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Order and place."""
    parser.add_argument("--seed", type=int, default=0, help="order of the cases")
    parser.add_argument("--folder", type=Path, help="where to work; in memory (/dev/shm) it is faster")


def cases(*, quick: bool, repeat: int, seed: int) -> list[Case]:
    """Every trouble in both directions, `repeat` times; in small every trouble in one of them."""
    if quick:
        return [(trouble, DIRECTIONS[at % 2]) for at, trouble in enumerate(TROUBLES)]
    chosen = [(trouble, direction) for trouble in TROUBLES for direction in DIRECTIONS] * repeat
    random.Random(seed).shuffle(chosen)
    return chosen


def measure(options: argparse.Namespace) -> Report:
    """All cases, each in a world of its own."""
    met, wrong = Met(), dict.fromkeys((trouble.name for trouble in TROUBLES), 0)
    chosen = cases(quick=options.quick, repeat=options.repeat, seed=options.seed)
    with tempfile.TemporaryDirectory(prefix="headgate-moves-", dir=options.folder) as folder:
        root = Path(folder)
        quiet(root / "libraries")
        store = warm_up(root / "warm")
        for number, (trouble, direction) in enumerate(chosen):
            world = make_world(root / str(number), store)
            try:
                found = flaws(world, trouble, direction, met)
            except Exception as error:
                found = [f"it ended in {type(error).__name__}: {error}"]
            finally:
                world.stop()
            for flaw in found:
                print(f"{trouble.name}, {direction}: {flaw}")
            wrong[trouble.name] += bool(found)
    return Report(
        [
            Measure("moves", len(chosen), "moves", at_least(len(TROUBLES))),
            *(
                Measure(f"not as it should be: {name}", count, "moves", at_most(0))
                for name, count in wrong.items()
            ),
            Measure("requests of the load answered", met.statuses[200], "", at_least(1)),
            Measure("requests of the load refused (503)", met.statuses[503], "", at_least(1)),
        ]
    )


if __name__ == "__main__":
    sys.exit(run(measure))
