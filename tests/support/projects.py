"""A home with a real MLflow store, toy bundles, and candidates with any verdict."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from expectations.verdict import Outcome
from release.home import Home, environment
from release.registry.candidate import Candidate
from release.registry.store import STORE_FILE, relocated, tracking_uri
from serving.process.control import stop
from serving.spec import DeploySpec
from tests.support import toy_bundle
from tests.support.toy_release import toy_candidate

NAME = "toy"


@pytest.fixture(scope="session")
def write_bundle() -> Callable[..., str]:
    """Writes a toy bundle into a folder, its answers differing by seed; returns its digest."""
    return toy_bundle.write_bundle


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store, made once (it takes seconds) and copied for each test."""
    home = Home(tmp_path_factory.mktemp("store"))
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment(home).items():
            patch.setenv(variable, value)
        tracking_uri(home)
    return home.mlflow / STORE_FILE


@pytest.fixture
def home(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home with an empty store; whatever endpoint is left running is stopped."""
    made = Home(tmp_path / "home")
    shutil.copyfile(store, made.mlflow / STORE_FILE)
    relocated(made)
    for variable, value in environment(made).items():
        monkeypatch.setenv(variable, value)
    yield made
    for state in made.endpoints.glob("*.json"):
        if not state.name.endswith(".settings.json"):
            stop(state, wait_s=5)


@pytest.fixture
def deploy_spec() -> DeploySpec:
    """An endpoint on any free port, that looks often."""
    return DeploySpec(port=0, threads=1, poll_s=0.02, start_timeout_s=30, drain_timeout_s=2)


@pytest.fixture
def candidate(tmp_path: Path) -> Callable[..., Candidate]:
    """Makes candidates: `candidate(seed=3, outcome="fail")`."""

    def make(seed: int = 1, outcome: Outcome = "pass") -> Candidate:
        return toy_candidate(tmp_path, seed, outcome)

    return make


ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def child_environment(home: Home) -> dict[str, str]:
    """Variables for a process of its own that works on `home`."""
    return {**os.environ, **environment(home), "PYTHONPATH": str(ROOT)}


def in_a_child(work: Callable[[], object], fault: str = "") -> int:
    """Run `work` in a forked process, with a fault asked for; its exit code (negative: the signal).

    Forked, because importing MLflow takes seconds. The parent must not have opened the store before.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.environ["HEADGATE_FAULT"] = fault
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def child() -> Callable[..., int]:
    """`child(work, fault="staged:kill")` runs `work` in a process of its own; its exit code."""
    return in_a_child
