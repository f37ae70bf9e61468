"""Many at once: first starts on one home, and promotions of several versions by several processes.

    python -m tests.campaigns.races
    python -m tests.campaigns.races --starts 20 --rounds 3 --races 50 --racers 4

A first start finds no store, no key and no experiment and must end with the same ones as all others. Of
racing promotions the newest version must win whatever the order, an older approval may never overwrite a
newer one, and the journal must tell one consistent story. Exit status 1 if one does not hold.
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
from release.moves.promote import promote_version
from release.moves.unfinished import BEGUN
from release.registry.register import RegisteredVersion, register_version
from release.registry.run import experiment_id
from release.releases import open_releases
from serving.store.release_folder import PromotionRefused
from tests.support.forks import at_once, in_a_child
from tests.support.kill_cases import quiet
from tests.support.machine import describe_machine
from tests.support.result import Measure, at_least, at_most, report
from tests.support.toy_bundle import NAME
from tests.support.toy_release import SPEC, World, check, make_world, warm_up

REFUSED = 3
"""Exit code of a promotion that was refused because a newer version is the champion."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both races and print their figures; the exit status."""
    options = _parser().parse_args(arguments)
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="headgate-races-", dir=options.folder) as folder:
        root = Path(folder)
        quiet(root / "libraries")
        store = warm_up(root / "warm")
        opened = sum(first_starts(root / f"starts-{n}", options.starts) for n in range(options.rounds))
        won, older, told = promotions(root / "races", store, options.races, options.racers, options.seed)
    starts = options.starts * options.rounds
    return report(
        "races",
        [
            Measure(f"first starts, {options.starts} at once", starts, "starts", at_least(1)),
            Measure("of them opened one store with one key", opened, "starts", at_least(starts)),
            Measure(f"races of {options.racers} promotions", options.races, "races", at_least(1)),
            Measure("of them won by the newest", won, "races", at_least(options.races)),
            Measure("older approvals over newer ones", older, "promotions", at_most(0)),
            Measure("races with a consistent journal", told, "races", at_least(options.races)),
        ],
        machine,
    )


def first_starts(root: Path, count: int) -> int:
    """How many of `count` processes that start on an empty home at once open the same store with the
    same key and the same experiment."""
    root.mkdir(parents=True)
    home = Home(root / "home")

    def start(number: int) -> Callable[[], object]:
        def work() -> None:
            releases = open_releases(home, NAME, SPEC)
            assert releases.registry.pointed() is None
            experiment = experiment_id(releases.registry, home, NAME, SPEC)
            (root / f"told-{number}").write_bytes(releases.public_key.read_bytes() + experiment.encode())

        return work

    codes = at_once([start(number) for number in range(count)], log=root / "children.log")
    told = [(root / f"told-{number}").read_bytes() for number, code in enumerate(codes) if code == 0]
    return max((told.count(one) for one in set(told)), default=0)


def promotions(root: Path, store: Path, races: int, racers: int, seed: int) -> tuple[int, int, int]:
    """Race versions that all passed: races that the newest won, older approvals that overwrote a newer
    one, races whose journal is consistent."""
    world = make_world(root / "world", store)
    log, order = root / "children.log", random.Random(seed)
    won = older = told = 0
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
        told += consistent(entries, promoted)
    return won, older, told


def consistent(entries: Sequence[Entry], promoted: Sequence[int | None]) -> bool:
    """Whether every operation that begins ends once, one after the other, and each promotion names the
    version that was promoted before it."""
    open_operation = ""
    former = None
    for entry in entries:
        if entry.event in BEGUN:
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
    told = world.root / "registered"

    def register() -> None:
        done: list[RegisteredVersion] = [register_version(world.home, NAME, SPEC, one) for one in made]
        told.write_text(" ".join(str(one.version) for one in done))

    if in_a_child(register, log=log) != 0:
        raise RuntimeError(f"registering failed; its log: {log.read_text()[-2000:]}")
    return [
        ApprovedVersion(name=NAME, version=int(version), bundle_sha256=one.bundle_sha256, verdict=one.verdict)
        for version, one in zip(told.read_text().split(), made, strict=True)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaigns.races", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--starts", type=int, default=20, help="first starts at once")
    parser.add_argument("--rounds", type=int, default=3, help="times that they start on a new home")
    parser.add_argument("--races", type=int, default=50, help="races of promotions")
    parser.add_argument("--racers", type=int, default=4, help="versions, and processes, in a race")
    parser.add_argument("--seed", type=int, default=0, help="order in which the racers are started")
    parser.add_argument("--folder", type=Path, help="where to work; in memory (/dev/shm) it is faster")
    return parser


if __name__ == "__main__":
    sys.exit(main())
