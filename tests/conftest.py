"""What all tests share: quiet libraries, state in temporary folders, one Prefect server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """Before any test module loads torch or numpy: tests of two processes share the cores, and a thread that
    spins while it waits takes the core that the other needs (`model.__main__.SPIN_TURNS`). And bytecode is
    kept: else each of hundreds of processes compiles all libraries anew."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _contained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Telemetry off and every library's state below one temporary folder, also for child processes."""
    from release.home import Home, environment

    home = Home(tmp_path_factory.mktemp("libraries"))
    before = dict(os.environ)
    os.environ.update(environment(home, given={}))
    os.environ.pop("HEADGATE_HOME", None)
    # A logger that a flow has connected to Prefect stays so in this process, where no flow runs any more.
    os.environ["PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW"] = "ignore"
    home.prefect.mkdir(exist_ok=True)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _settings_of_its_own(_contained: None) -> Iterator[None]:
    """What a command that ran in this process set for itself is not left to the next test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def prefect_harness(_contained: None) -> Iterator[None]:
    """A real Prefect server on a database of its own, for the whole session."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need one skip where it is absent."""
    folder = os.environ.get("HEADGATE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("HEADGATE_DATA does not name a folder with the real data sets")
    return Path(folder)
