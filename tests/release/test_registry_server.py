"""The same with MLflow's own server in between: what it lost is registered again, and numbers go on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from release.home import Home
from release.moves.adopt import adopt_local
from release.moves.reconcile import reconcile
from release.moves.rollback import roll_back
from release.registry.candidate import Candidate
from release.registry.client import open_registry
from release.releases import OtherRegistry, open_releases
from release.spec import RegistrySpec
from serving.spec import DeploySpec
from tests.release.test_adopt import bundle, ship

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
Make = Callable[..., Candidate]


@pytest.fixture
def server(tmp_path: Path, child_environment: dict[str, str]) -> Iterator[RegistrySpec]:
    """An MLflow server on loopback, with an empty store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/store.sqlite"]
    stores += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *where, *stores],
            env={**child_environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, folder / "log")
        yield RegistrySpec(tracking_uri=f"http://127.0.0.1:{port}")
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (OSError, urllib.error.URLError):
            assert process.poll() is None and time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(0.5)


def test_a_registry_that_moved_to_a_server_is_adopted_and_what_is_deleted_there_comes_back(
    home: Home, candidate: Make, server: RegistrySpec, deploy_spec: DeploySpec
) -> None:
    first, second = candidate(1), candidate(2)
    ship(home, first)
    ship(home, second)
    with pytest.raises(OtherRegistry):
        reconcile(home, "toy", server)
    assert adopt_local(home, "toy", server, deploy_spec).version == 3
    assert reconcile(home, "toy", server) == ()

    client = open_registry(home, "toy", server).client
    client.delete_model_version("toy", "3")
    assert reconcile(home, "toy", server)[0] == (
        "the registry has lost version 3: it is registered again as version 4"
    )
    client.delete_registered_model("toy")
    assert reconcile(home, "toy", server)[0] == (
        "the registry has lost version 4: it is registered again as version 5"
    )
    releases = open_releases(home, "toy", server)
    assert bundle(releases) == second.bundle_sha256
    assert reconcile(home, "toy", server) == ()
    assert roll_back(home, "toy").serving == 6
    assert bundle(releases) == first.bundle_sha256
    assert ship(home, candidate(3), server) == 7
