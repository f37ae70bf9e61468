"""A crash at every fault point, by SIGKILL, SIGTERM and an exception: does the next start repair it?

    python -m tests.campaigns.kill_matrix                    # all, three times
    python -m tests.campaigns.kill_matrix --third            # one kind of end a point, chosen by --seed, once
    python -m tests.campaigns.kill_matrix --steps deploy undo --repeat 1
    python -m tests.campaigns.kill_matrix --points champion_moved staged

Each case goes the real way: data are merged, a tiny model is fitted and packaged, a toy candidate is
registered in MLflow (SQLite), promoted and deployed to a real endpoint. It is ended at the point, started
again and run to its end. An observer asks the endpoint all the while: only approved, verified versions may
answer.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from model.faults import POINTS, STEPS
from tests.support.contract import Report, Size, run
from tests.support.kill_cases import ENDS, ReleaseCases, Result, quiet
from tests.support.kill_cases_train import TrainCases
from tests.support.measures import Measure, aligned, at_least, at_most, measure_table

GOAL = "every case converges, no unverified version answers"
QUICK_S, WHOLE_S = 40, 1500
SIZES = {"repeat": Size(3, 1, "repetitions of each case")}
QUICK_POINTS = (
    *("store_made", "tokens_made", "bundle_made", "version_registered", "staged", "champion_moved"),
    *("endpoint_verified", "version_dropped", "version_installed"),
)
"""Tried with --quick, each with one kind of end."""
TRAINING = ("merge", "train")
"""Steps whose cases need torch and no registry."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which cases, and where."""
    parser.add_argument("--points", nargs="+", choices=POINTS, metavar="POINT", help="only these points")
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), metavar="STEP", help="only these steps")
    parser.add_argument("--third", action="store_true", help="of each point one kind of end, once")
    parser.add_argument("--seed", type=int, default=0, help="which third")
    parser.add_argument("--folder", type=Path, help="where to work; in memory (/dev/shm) it is faster")
    parser.add_argument("--verbose", action="store_true", help="a line a case")


def measure(options: argparse.Namespace) -> Report:
    """Run the cases; a line a point."""
    wanted = options.points or (QUICK_POINTS if options.quick else POINTS)
    of_steps = {point for step in (options.steps or STEPS) for point in STEPS[step]}
    points = [point for point in POINTS if point in wanted and point in of_steps]
    third = options.third or options.quick
    cases = chosen(points, repeat=options.repeat, third=third, seed=options.seed)
    with tempfile.TemporaryDirectory(prefix="headgate-kill-", dir=options.folder) as folder:
        quiet(Path(folder) / "libraries")
        results = _run(cases, Path(folder), verbose=options.verbose)
    for result in results:
        for flaw in result.flaws:
            print(f"{result.point}:{result.kind}: {flaw}")
    measures = measures_of(results)
    return Report(measures, f"{table(results)}\n\n{measure_table(measures)}")


def chosen(points: Sequence[str], *, repeat: int, third: bool, seed: int) -> list[tuple[str, str, int]]:
    """(point, kind, repetition) of every case. A third: of each point one kind, chosen by the seed, once."""
    if third:
        pick = random.Random(seed)
        return [(point, pick.choice(list(ENDS)), pick.randrange(3)) for point in points]
    return [(point, kind, number) for point in points for kind in ENDS for number in range(repeat)]


def _run(cases: Sequence[tuple[str, str, int]], root: Path, *, verbose: bool) -> list[Result]:
    training = {point for step in TRAINING for point in STEPS[step]}
    results = []
    # The release first: torch, which the training needs, is then not yet in the parent that is forked.
    for make, mine in (
        (ReleaseCases, [case for case in cases if case[0] not in training]),
        (TrainCases, [case for case in cases if case[0] in training]),
    ):
        if not mine:
            continue
        place = root / make.__name__
        place.mkdir()
        running = make(place)
        try:
            for point, kind, repetition in mine:
                begin = time.monotonic()
                results.append(running.run(point, kind, repetition))
                if verbose:
                    outcome = "; ".join(results[-1].flaws) or "converged"
                    print(f"{point}:{kind} {time.monotonic() - begin:.1f} s  {outcome}", flush=True)
        finally:
            running.close()
    return results


def table(results: Sequence[Result]) -> str:
    """A line a point: how many of its cases converged by kind, replies watched, replies not verified."""
    rows = [("point", *ENDS, "replies", "unverified served")]
    for point in dict.fromkeys(result.point for result in results):
        mine = [result for result in results if result.point == point]
        cells = []
        for kind in ENDS:
            of_kind = [result for result in mine if result.kind == kind]
            good = sum(not result.flaws for result in of_kind)
            cells.append(f"{good}/{len(of_kind)}" if of_kind else "")
        replies, wrong = sum(r.answers for r in mine), sum(r.unverified for r in mine)
        rows.append((point, *cells, f"{replies:,}", str(wrong)))
    return aligned(rows, right=range(1, len(rows[0])))


def measures_of(results: Sequence[Result]) -> list[Measure]:
    """Cases that converged, replies that were watched, replies that no verified version gives."""
    return [
        Measure("cases", len(results), "cases", at_least(1)),
        Measure("of them converged", sum(not r.flaws for r in results), "cases", at_least(len(results))),
        Measure("replies watched", sum(r.answers for r in results), "replies"),
        Measure("unverified served", sum(r.unverified for r in results), "replies", at_most(0)),
    ]


if __name__ == "__main__":
    sys.exit(run(measure))
