"""A full disk stops no worker: what workers share lies in memory, and a log that can't be written is lost."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving import client
from serving.process import control as process
from serving.process.job import endpoint_job

SMALL_DISK = 'mount -t tmpfs -o size=1m none "$0" && exec "$@" 2>>"$0/log"'
"""Runs a command in a mount namespace of its own, whose folder `$0` is a disk of one MiB."""


def can_mount(folder: Path) -> bool:
    command = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0"', str(folder)]
    try:
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@dataclass(frozen=True)
class Served:
    """An endpoint whose state and log lie on a disk of one MiB."""

    url: str
    pid: int
    disk: Path
    """That disk, as seen from here."""

    def fill(self) -> None:
        """Leave no byte of it free."""
        with (self.disk / "filler").open("wb", buffering=0) as filler:
            for size in (65_536, 1):
                try:
                    while True:
                        filler.write(b"x" * size)
                except OSError:
                    continue


@pytest.fixture(params=[1, 2])
def on_a_small_disk(shop: Any, spec: Any, request: pytest.FixtureRequest) -> Iterator[Served]:
    mount = shop.root / "disk"
    mount.mkdir()
    if not can_mount(mount):
        pytest.skip("a file system can't be mounted here (unshare -rm)")
    shop.release(1)
    spec = dataclasses.replace(spec, workers=request.param)
    job = endpoint_job(shop.folder.path, shop.public_key, spec, mount / "s.json")
    command = process.serve_command(dataclasses.replace(job, state_file=shop.root / "s.json"))
    endpoint = subprocess.Popen(
        ["unshare", "-rm", "sh", "-c", SMALL_DISK, str(mount), *command, "--state", str(mount / "s.json")]
    )
    disk = Path(f"/proc/{endpoint.pid}/root{mount}")
    try:
        deadline = time.monotonic() + 20
        while not (disk / "s.json").exists():
            assert time.monotonic() < deadline and endpoint.poll() is None
            time.sleep(0.05)
        state = json.loads((disk / "s.json").read_text())
        url = f"http://127.0.0.1:{state['port']}"
        client.wait_for_version(url, 1, timeout_s=20)
        yield Served(url, endpoint.pid, disk)
        endpoint.terminate()
        assert endpoint.wait(20) == 0
    finally:
        endpoint.kill()
        endpoint.wait()


def test_a_full_disk_stops_no_worker_and_hides_none(on_a_small_disk: Served, shop: Any) -> None:
    served = on_a_small_disk
    before = sorted(child.pid for child in psutil.Process(served.pid).children())
    served.fill()
    for number in range(60):  # on connections of their own, so that each worker gets some
        assert client.ask(served.url, "rain")["version"] == 1
        assert client.request(served.url, "GET", f"/nowhere/{number}")[0] == 404
        assert client.request(served.url, "POST", "/predict", {"texts": []})[0] == 422
    shop.release(2)
    client.wait_for_version(served.url, 2, timeout_s=20)
    text = client.request(served.url, "GET", "/metrics")[2].decode()
    assert 'headgate_requests_total{route="/predict",status="422"} 60.0' in text
    assert sorted(child.pid for child in psutil.Process(served.pid).children()) == before
