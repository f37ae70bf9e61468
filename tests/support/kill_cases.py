"""Cases of the kill matrix from the registry to the endpoint: one point, one kind of end, one repetition.

Each ends a real release at the point, starts again, lets the rerun finish and says what is not right. The
world is kept from case to case, so that what one leaves is met by the next.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from flows.cli.following import run_follower
from model.faults import STEPS
from release.bake.record import bake_file
from release.bake.watch import bake
from release.home import Home
from release.keep.clean import clean
from release.keep.spec import KeepSpec
from release.moves.judge_again import record_verdict
from release.moves.reconcile import reconcile
from release.moves.rollback import roll_back
from release.registry.candidate import ANSWERED_EVIDENCE, Candidate
from release.registry.register import register_version
from release.registry.store import tracking_uri
from release.targets.follower import FollowJob, followed_registry
from serving.spec import BakeSpec
from serving.store.manifest import verify_release
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import PUBLIC_KEY
from tests.support.forks import Seen, in_a_child, watched
from tests.support.toy_bundle import NAME
from tests.support.toy_release import (
    DEPLOY,
    SPEC,
    TEXT,
    World,
    check,
    debris,
    digests,
    make_world,
    same,
    ship,
    start_again,
    warm_up,
)

ENDS = {"kill": -9, "term": 143, "raise": 1}
"""Kind of fault → exit code of the process that it ends."""
FRESH = ("key_made", "store_written", "store_made", "experiment_made", "model_named")
"""Points whose step only a first start takes."""
WITHDRAWN = ("version_dropped", "endpoint_stopped")
"""Points that are passed where there is no version to go back to."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one case."""

    point: str
    kind: str
    flaws: tuple[str, ...]
    """What is not right; empty if the rerun converged."""
    answers: int = 0
    """Replies of the endpoint while it was watched."""
    unverified: int = 0
    """Different replies that no approved, verified version gives."""


class ReleaseCases:
    """The cases of a folder: one world that goes on, and fresh ones.

    Args:
        root: folder for everything.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "children.log"
        self._worlds = 0
        self._store = warm_up(root / "warm")
        self._going = self._world()
        self._expect(lambda: ship(self._going, self._made))

    def run(self, point: str, kind: str, repetition: int) -> Result:
        """End a release at `point` by `kind` and see what becomes of it."""
        if point in STEPS["follow"]:
            return self._follow(point, kind)
        if point in STEPS["reconcile"]:
            return self._reconcile(point, kind)
        if point in STEPS["rollback"]:
            return self._roll_back(point, kind)
        if point in STEPS["undo"]:
            return self._undo(point, kind)
        if point in STEPS["judge"]:
            return self._judge(point, kind)
        if point in STEPS["clean"]:
            return self._clean(point, kind)
        if point in STEPS["bake"]:
            return self._bake(point, kind)
        return self._ship(point, kind, fresh=point in FRESH or repetition == 0)

    def close(self) -> None:
        """Stop the endpoint."""
        self._going.stop()

    def _world(self, *, store: bool = True) -> World:
        self._worlds += 1
        world = make_world(self.root / str(self._worlds), self._store if store else None)
        self._made = world.candidate()
        return world

    def _ship(self, point: str, kind: str, *, fresh: bool) -> Result:
        world = self._world(store=point not in ("store_written", "store_made")) if fresh else self._going
        made = self._made if fresh else world.candidate()
        result = self._case(world, point, kind, lambda: ship(world, made), lambda: ship(world, made))
        if fresh:
            world.stop()
        return result

    def _undo(self, point: str, kind: str) -> Result:
        """A version that answers wrongly is taken back, with a former one or without."""
        world = self._world() if point in WITHDRAWN else self._going
        bad, good = world.spoilt(), world.candidate()
        result = self._case(world, point, kind, lambda: ship(world, bad), lambda: ship(world, good))
        if point in WITHDRAWN:
            world.stop()
        return result

    def _roll_back(self, point: str, kind: str) -> Result:
        world = self._going
        self._ship_quietly(world)

        def back() -> None:
            assert roll_back(world.home, NAME).deployed

        return self._case(world, point, kind, back, back)

    def _judge(self, point: str, kind: str) -> Result:
        """A version that was held back passes when it is judged again."""
        world = self._going
        made = world.candidate("inconclusive")
        better = replace(made, verdict=world.candidate().verdict, run_name=f"{made.run_name}~again")

        def judge() -> None:
            record_verdict(world.home, NAME, SPEC, register_version(world.home, NAME, SPEC, made), better)

        return self._case(world, point, kind, judge, lambda: ship(world, better))

    def _clean(self, point: str, kind: str) -> Result:
        """There are too many of everything: versions, candidates, run folders."""
        world = self._going
        for _ in range(2):
            self._ship_quietly(world)
            made = world.candidate("fail")
            self._expect(lambda made=made: register_version(world.home, NAME, SPEC, made))
        for number in range(3):
            run = world.home.runs / f"2020010{number + 1}T000000000000-0123abcd"
            run.mkdir(exist_ok=True)
            (run / "left").write_text("by a validation")
            os.utime(run / "left", (0, 0))
            os.utime(run, (0, 0))
        few = KeepSpec(versions=2, candidates=1, runs=1)

        def work() -> None:
            clean(world.home, NAME, SPEC, few)

        return self._case(world, point, kind, work, work)

    def _bake(self, point: str, kind: str) -> Result:
        """A version is watched whose labels are others than on its test rows, and taken back."""
        world = self._going
        self._ship_quietly(world)
        mood = {"rows": 500, "labels": {"low": 500, "mid": 500, "high": 500}}
        made = world.candidate()
        made = replace(made, evidence={**made.evidence, ANSWERED_EVIDENCE: {"mood": mood}})
        deploy = replace(DEPLOY, bake=BakeSpec(minutes=0.5, min_requests=20))

        def work() -> None:
            ship(world, made, deploy)
            bake(world.home, NAME)

        def again() -> None:
            bake(world.home, NAME)
            assert not bake_file(world.home, NAME).exists(), "the watch goes on"

        return self._case(world, point, kind, work, again)

    def _reconcile(self, point: str, kind: str) -> Result:
        """The start after a crash crashes, too."""
        world = self._going
        made = world.candidate()
        in_a_child(lambda: ship(world, made), log=self.log, fault="pointer_written:kill")
        return self._case(
            world, point, kind, lambda: reconcile(world.home, NAME, SPEC), lambda: ship(world, made)
        )

    def _follow(self, point: str, kind: str) -> Result:
        """A replica fetches a version; its folder is looked at instead of an endpoint."""
        world, replica = self._going, Home(self.root / "replica")
        self._ship_quietly(world)
        folder = ReleaseFolder(replica.releases(NAME), NAME)
        if point == "version_aside":  # there is a damaged one, which the fetched one replaces
            newest = max(ReleaseFolder(world.home.releases(NAME), NAME).versions())
            (folder.version_dir(newest) / "bundle").mkdir(parents=True)
        key = Path(shutil.copyfile(world.home.keys / PUBLIC_KEY, self.root / PUBLIC_KEY))

        job = FollowJob(
            home=replica,
            name=NAME,
            registry=followed_registry(replica, NAME, tracking_uri(world.home), None),
            public_key=key,
        )

        def look() -> None:
            assert run_follower(job, once=True) == 0

        code = in_a_child(look, log=self.log, fault=f"{point}:{kind}")
        # The follower answers SIGTERM by finishing its look.
        flaws = [] if kind == "term" and code == 0 else _ended(code, point, kind)
        pointer = folder.pointer(key)
        if pointer is not None:
            verify_release(folder.version_dir(pointer.version), key, NAME)
        if in_a_child(look, log=self.log) != 0:
            flaws.append(self._last_line())
        elif folder.pointer(key) != ReleaseFolder(world.home.releases(NAME), NAME).pointer(key):
            flaws.append("the replica does not follow")
        flaws += [f"left behind: {path}" for path in debris(replica)]
        return Result(point, kind, tuple(flaws))

    def _case(
        self,
        world: World,
        point: str,
        kind: str,
        work: Callable[[], object],
        again: Callable[[], object],
    ) -> Result:
        def rerun() -> None:
            start_again(world)
            again()
            check(world)

        with watched(world.state_file, TEXT) as seen:
            code = in_a_child(work, log=self.log, fault=f"{point}:{kind}")
            flaws = _ended(code, point, kind)
            if in_a_child(rerun, log=self.log) != 0:
                flaws.append(self._last_line())
        return Result(point, kind, tuple(flaws), seen.answers, self._unverified(world, seen))

    def _unverified(self, world: World, seen: Seen) -> int:
        """Replies that are not those of a version that passed and whose bundle we know."""
        file = self.root / "digests.json"
        versions = sorted({kind["version"] for kind in seen.kinds})
        self._expect(lambda: file.write_text(json.dumps(digests(world, versions))))
        approved = {int(version): digest for version, digest in json.loads(file.read_text()).items()}
        wrong = 0
        for kind in seen.kinds:
            expected = world.answers.get(approved.get(kind["version"], ""))
            wrong += expected is None or not same(kind["answer"], expected)
        return wrong

    def _ship_quietly(self, world: World) -> None:
        made: Candidate = world.candidate()
        self._expect(lambda: ship(world, made))

    def _expect(self, work: Callable[[], object]) -> None:
        if in_a_child(work, log=self.log) != 0:
            raise RuntimeError(f"a step without a fault failed: {self._last_line()} (log: {self.log})")

    def _last_line(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.is_file() else []
        return f"the rerun failed: {lines[-1] if lines else 'nothing was printed'}"


def _ended(code: int, point: str, kind: str) -> list[str]:
    """A flaw where the point was not passed: then nothing was tried."""
    return [] if code == ENDS[kind] else [f"exit code {code}, expected {ENDS[kind]}: not ended at {point}"]


def quiet(root: Path) -> None:
    """State and telemetry of libraries below `root`, for this process and its children."""
    from release.home import environment

    os.environ.update(environment(Home(root)))
