"""After any order of releases, rejections, rollbacks, cleans and kills, every version that is kept can serve.

Real folders, a real store, toy bundles. The machine keeps its own idea of nothing: it asks the release folder
which versions there are, and goes back to each.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from model.bundle.reader import Bundle
from model.faults import STEPS, VARIABLE, Fault
from release.home import Home, environment
from release.keep.clean import clean
from release.keep.spec import KeepSpec
from release.moves.reconcile import reconcile
from release.moves.rollback import RollbackRefused, roll_back
from release.registry.register import register_version
from release.registry.store import STORE_FILE, relocated
from release.releases import open_releases
from serving.store.manifest import verify_release
from tests.release.test_crashes import SPEC, ship
from tests.support.toy_release import toy_candidate

VERSIONS = 2
KEEP = KeepSpec(versions=VERSIONS, candidates=1, runs=1, datasets=1)


class AnyOrder(RuleBasedStateMachine):
    store: Path
    patch: pytest.MonkeyPatch
    gone_back = 0

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="headgate-keep-"))
        self.home = Home(self.root / "home")
        shutil.copyfile(self.store, self.home.mlflow / STORE_FILE)
        relocated(self.home)
        for variable, value in environment(self.home).items():
            self.patch.setenv(variable, value)
        self.seed = 0
        self.gone = set[int]()
        self.released()

    @rule()
    def released(self) -> None:
        self.seed += 1
        ship(self.home, toy_candidate(self.root, self.seed))

    @rule()
    def rejected(self) -> None:
        self.seed += 1
        register_version(self.home, "toy", SPEC, toy_candidate(self.root, self.seed, "fail"))

    @rule(further=st.booleans())
    def went_back(self, further: bool) -> None:
        with contextlib.suppress(RollbackRefused):  # there is nothing before the first
            roll_back(self.home, "toy")
            if further:
                roll_back(self.home, "toy")

    @rule()
    def validated(self) -> None:
        self.seed += 1
        run = self.home.runs / f"2026{self.seed:04d}T0-{self.seed:08x}"
        run.mkdir()
        (run / "left").write_text("x")
        for path in (run / "left", run):
            os.utime(path, (0, 0))

    @rule()
    def cleaned(self) -> None:
        with self.cleaning():
            done = clean(self.home, "toy", SPEC, KEEP)
        assert not done.said
        assert len(list(self.home.runs.iterdir())) <= 1
        assert len(open_releases(self.home, "toy", SPEC).folder.versions()) <= 2 * VERSIONS + 1

    @contextlib.contextmanager
    def cleaning(self) -> Iterator[None]:
        """What goes meanwhile is none of the last versions on the way back."""
        before = open_releases(self.home, "toy", SPEC)
        back, there = before.served()[-VERSIONS:], set(before.folder.versions())
        try:
            yield
        finally:
            gone = there - set(open_releases(self.home, "toy", SPEC).folder.versions())
            assert not gone & set(back), "a rollback can go there"
            self.gone |= gone

    @rule(point=st.sampled_from(STEPS["clean"]))
    def cleaned_and_ended(self, point: str) -> None:
        os.environ[VARIABLE] = f"{point}:raise"
        try:
            with contextlib.suppress(Fault), self.cleaning():
                clean(self.home, "toy", SPEC, KEEP)
        finally:
            os.environ.pop(VARIABLE)
        reconcile(self.home, "toy", SPEC)

    @rule(point=st.sampled_from(["staged", "pointer_written", "champion_moved"]))
    def ended_while_releasing(self, point: str) -> None:
        self.seed += 1
        made = toy_candidate(self.root, self.seed)
        os.environ[VARIABLE] = f"{point}:raise"
        try:
            with contextlib.suppress(Fault):
                ship(self.home, made)
        finally:
            os.environ.pop(VARIABLE)
        reconcile(self.home, "toy", SPEC)

    @invariant()
    def whatever_is_kept_can_serve(self) -> None:
        if not hasattr(self, "root"):
            return
        releases = open_releases(self.home, "toy", SPEC)
        champion = releases.serving()
        assert champion is not None, "something serves, always"
        back = releases.served()
        # After a rollback those before may have gone already, when they were too far back.
        assert set(back[-VERSIONS:]) - self.gone <= set(releases.folder.versions()), "the way back is on disk"
        for version in releases.folder.versions():
            where = releases.folder.version_dir(version)
            verify_release(where, releases.public_key, "toy", version=version)
            Bundle.load(where / "bundle", threads=1).probabilities(["late order"])

    def teardown(self) -> None:
        if not hasattr(self, "root"):
            return
        copy = self.root / "copy"
        versions = open_releases(self.home, "toy", SPEC).folder.versions()
        for version in versions:  # each from the same state, which going back changes
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(self.home.root, copy)
            there = Home(copy)
            relocated(there)
            if open_releases(there, "toy", SPEC).serving() != version:
                done = roll_back(there, "toy", version)
                assert done.deployed and done.serving == version
                AnyOrder.gone_back += 1
        shutil.rmtree(self.root, ignore_errors=True)


def machine(store: Path, patch: pytest.MonkeyPatch, *, examples: int, steps: int) -> int:
    """How often it went back to a kept version, which then served."""
    AnyOrder.store, AnyOrder.patch, AnyOrder.gone_back = store, patch, 0
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        AnyOrder,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        ),
    )
    return AnyOrder.gone_back


@pytest.mark.slow
def test_every_kept_version_can_serve_after_a_few_steps(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine(store, monkeypatch, examples=5, steps=25) > 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_kept_version_can_serve_after_anything(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine(store, monkeypatch, examples=30, steps=30) > 0
