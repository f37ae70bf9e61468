"""Many processes at once: first starts on one state folder, and promotions of several versions.

A first start finds no store, no key and no experiment; all that start at once must end with one store, one
key and one experiment. Of racing promotions the newest version must win in any order, an older approval
may never overwrite a newer one, and the entries of the journal must follow from each other.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from expectations.verdict import ApprovedVersion
from model.files import file_sha256
from release.home import Home
from release.journal import Entry
from release.moves.move import BEGUN
from release.moves.promote import promote_version
from release.registry.register import RegisteredVersion, register_version
from release.registry.run import experiment_id
from release.releases import open_releases
from serving.store.release_folder import PromotionRefused
from tests.support.contract import Report, Size, run
from tests.support.forks import at_once, in_a_child
from tests.support.kill_cases import quiet
from tests.support.measures import Measure, at_least, at_most
from tests.support.toy_bundle import NAME
from tests.support.toy_release import SPEC, World, check, make_world, warm_up

GOAL = "one store, the newest version wins, a consistent journal"
QUICK_S, WHOLE_S = 13, 300
SIZES = {
    "starts": Size(20, 6, "first starts at once"),
    "rounds": Size(3, 1, "times that they start on a new state folder"),
    "races": Size(50, 3, "races of promotions"),
    "racers": Size(4, 3, "versions, and processes, in a race"),
}
REFUSED = 3
"""Exit code of a promotion that was refused because a newer version is the champion."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Seed and place."""
    parser.add_argument("--seed", type=int, default=0, help="order in which the racers are started")
    parser.add_argument("--folder", type=Path, help="where to work; in memory (/dev/shm) it is faster")


def measure(options: argparse.Namespace) -> Report:
    """Both races and their figures."""
    with tempfile.TemporaryDirectory(prefix="headgate-races-", dir=options.folder) as folder:
        root = Path(folder)
        quiet(root / "libraries")
        store = warm_up(root / "warm")
        opened = sum(first_starts(root / f"starts-{n}", options.starts) for n in range(options.rounds))
        won, older, sound = promotions(root / "races", store, options.races, options.racers, options.seed)
    starts = options.starts * options.rounds
    return Report(
        [
            Measure(f"first starts, {options.starts} at once", starts, "starts", at_least(1)),
            Measure("of them opened one store with one key", opened, "starts", at_least(starts)),
            Measure(f"races of {options.racers} promotions", options.races, "races", at_least(1)),
            Measure("of them won by the newest", won, "races", at_least(options.races)),
            Measure("older approvals over newer ones", older, "promotions", at_most(0)),
            Measure("races with a consistent journal", sound, "races", at_least(options.races)),
        ]
    )


def first_starts(root: Path, count: int) -> int:
    """How many of `count` processes that start on an empty home at once open one store with one key and one
    experiment."""
    root.mkdir(parents=True)
    home = Home(root / "home")

    def start(number: int) -> Callable[[], object]:
        def work() -> None:
            releases = open_releases(home, NAME, SPEC)
            assert releases.registry.pointed() is None
            experiment = experiment_id(releases.registry, home, NAME, SPEC)
            (root / f"opened-{number}").write_bytes(releases.public_key.read_bytes() + experiment.encode())

        return work

    codes = at_once([start(number) for number in range(count)], log=root / "children.log")
    found = [(root / f"opened-{number}").read_bytes() for number, code in enumerate(codes) if code == 0]
    return max((found.count(one) for one in set(found)), default=0)


def promotions(root: Path, store: Path, races: int, racers: int, seed: int) -> tuple[int, int, int]:
    """Race versions that all passed: races that the newest won, older approvals that overwrote a newer
    one, races whose journal is consistent."""
    world = make_world(root / "world", store)
    log, order = root / "children.log", random.Random(seed)
    won = older = sound = 0
    for _ in range(races):
        approved = _register(world, racers, log)
        works = [_promotion(world, one) for one in approved]
        order.shuffle(works)
        codes = at_once(works, log=log)
        newest = approved[-1].version
        # A straggler that comes after all, with an approval that is older.
        late = in_a_child(_promotion(world, approved[0]), log=log)
        won += set(codes) <= {0, REFUSED} and in_a_child(lambda v=newest: _wins(world, v), log=log) == 0
        entries = open_releases(world.home, NAME, SPEC).journal.entries()
        promoted = [entry.version for entry in entries if entry.event == "promoted"]
        older += (late != REFUSED) + sum(later <= earlier for earlier, later in pairwise(promoted))
        sound += consistent(entries, promoted)
    return won, older, sound


def consistent(entries: Sequence[Entry], promoted: Sequence[int | None]) -> bool:
    """Whether every operation that begins ends once, one after the other, and each promotion names the
    version that was promoted before it."""
    open_operation = ""
    former = None
    for entry in entries:
        if entry.event in BEGUN.values():
            if open_operation:
                return False
            open_operation = entry.operation
        elif entry.operation:
            if entry.operation != open_operation:
                return False
            open_operation = ""
            if entry.event == "promoted":
                if entry.former != former:
                    return False
                former = entry.version
    return not open_operation and former == (promoted[-1] if promoted else None)


def _register(world: World, count: int, log: Path) -> list[ApprovedVersion]:
    """Register so many candidates and approve them, the oldest first."""
    made = [world.candidate() for _ in range(count)]
    versions = world.root / "registered"

    def register() -> None:
        done: list[RegisteredVersion] = [register_version(world.home, NAME, SPEC, one) for one in made]
        versions.write_text(" ".join(str(one.version) for one in done))

    if in_a_child(register, log=log) != 0:
        raise RuntimeError(f"registering failed; its log: {log.read_text()[-2000:]}")
    return [
        ApprovedVersion(name=NAME, version=int(version), bundle_sha256=one.bundle_sha256, verdict=one.verdict)
        for version, one in zip(versions.read_text().split(), made, strict=True)
    ]


def _promotion(world: World, approved: ApprovedVersion) -> Callable[[], object]:
    bundles = (world.root / "bundles").glob("*/bundle")
    (bundle,) = (b for b in bundles if file_sha256(b / "manifest.json") == approved.bundle_sha256)

    def work() -> None:
        try:
            promote_version(world.home, NAME, SPEC, approved, bundle=bundle)
        except PromotionRefused:
            sys.exit(REFUSED)

    return work


def _wins(world: World, newest: int) -> None:
    assert check(world) == newest


if __name__ == "__main__":
    sys.exit(run(measure))
