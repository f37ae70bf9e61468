"""An endpoint needs to read the release folder and the key, and to write nothing but its state, where it is
told to: so it runs as a user without rights, in a container, on a mount that can't be written."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release.home import Home
from release.saved_settings import Settings, save_settings
from serving import client
from serving.process import control as process
from serving.process.job import endpoint_job, write_job
from tests.support.toy_bundle import NAME

NOBODY = 65534
ROOT = Path(__file__).resolve().parents[2]


def as_nobody() -> list[str]:
    """What runs a command as a user who may read everything and write nothing; empty where this is not root:
    then file modes do the same."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    read = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    return ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", *read]


@pytest.fixture
def read_only(shop: Any, spec: Any) -> Iterator[Path]:
    """A job in the shop's folder, in which there is version 1 and nothing can be written."""
    shop.release(1)
    job = shop.root / "endpoint.job"
    write_job(job, endpoint_job(shop.folder.path, shop.public_key, spec, shop.root / "state.json"))
    folders = [shop.root, *(path for path in shop.root.rglob("*") if path.is_dir())]
    modes = {folder: folder.stat().st_mode for folder in folders}
    for folder in folders:
        folder.chmod(0o555)
    yield job
    for folder, mode in modes.items():
        folder.chmod(mode)


@pytest.fixture
def state_folder() -> Iterator[Path]:
    """A folder that belongs to that user, outside pytest's, which nobody else may enter."""
    with tempfile.TemporaryDirectory(prefix="headgate-state-") as folder:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)


def environment(**more: str) -> dict[str, str]:
    nowhere = {"HOME": "/nonexistent", "TMPDIR": "/nonexistent"}
    return {**os.environ, "PYTHONPATH": str(ROOT), **nowhere, **more}


@pytest.mark.parametrize("workers", [1, 2])
def test_it_serves_from_a_read_only_folder_with_its_state_where_it_is_told_to(
    shop: Any, spec: Any, read_only: Path, state_folder: Path, workers: int
) -> None:
    job = state_folder / "job"
    changed = dataclasses.replace(spec, workers=workers)
    write_job(job, endpoint_job(shop.folder.path, shop.public_key, changed, shop.root / "state.json"))
    state_file = state_folder / "s.json"
    before = sorted(shop.root.rglob("*"))
    command = [*as_nobody(), sys.executable, "-m", "serving", str(job), "--state", str(state_file)]
    with (state_folder / "log").open("ab") as log:
        endpoint = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while (state := process.status(state_file)) is None:
            assert time.monotonic() < deadline and endpoint.poll() is None, (state_folder / "log").read_text()
            time.sleep(0.05)
        client.wait_for_version(state.url, 1, timeout_s=20)
        assert client.ask(state.url, "rain")["version"] == 1
        assert client.request(state.url, "GET", "/metrics")[0] == 200
        endpoint.send_signal(signal.SIGTERM)
        assert endpoint.wait(20) == 0
    finally:
        endpoint.kill()
        endpoint.wait()
    assert not state_file.exists()
    assert sorted(shop.root.rglob("*")) == before


def test_without_a_place_for_its_state_it_says_so_in_one_line(read_only: Path) -> None:
    command = [*as_nobody(), sys.executable, "-m", "serving", str(read_only)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "state.json: can't be written" in done.stderr and "--state" in done.stderr


HEADGATE = [sys.executable, "-c", "from flows.cli.commands import main; main()"]


def test_headgate_serve_from_a_read_only_home(shop: Any, spec: Any, state_folder: Path) -> None:
    shop.release(1)
    home = Home(shop.root)
    save_settings(home, NAME, Settings(deploy=spec))
    (shop.root / "projects" / f"{NAME}.json").chmod(0o644)
    folders = [shop.root, *(path for path in shop.root.rglob("*") if path.is_dir())]
    modes = {folder: folder.stat().st_mode for folder in folders}
    for folder in folders:
        folder.chmod(0o555)

    def headgate(*arguments: str) -> subprocess.CompletedProcess[str]:
        command, home = [*as_nobody(), *HEADGATE, *arguments], str(shop.root)
        given = environment(HEADGATE_HOME=home)
        return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60)

    try:
        refused = headgate("serve", NAME)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
        assert "can't be written" in refused.stderr and "--state" in refused.stderr
        served = headgate("serve", NAME, "--state", str(state_folder))
        assert served.returncode == 0, served.stdout + served.stderr
        assert f"headgate stop {NAME} --state {state_folder}" in served.stdout
        asked = headgate("predict", NAME, "rain", "--json", "--state", str(state_folder))
        assert '"version": 1' in asked.stdout
        stopped = headgate("stop", NAME, "--state", str(state_folder))
        assert f"{NAME}: stopped" in stopped.stdout
    finally:
        process.stop(state_folder / f"{NAME}.json", wait_s=10)
        for folder, mode in modes.items():
            folder.chmod(mode)
