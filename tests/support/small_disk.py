"""An endpoint whose state and log lie on a disk of one MiB, which can be filled."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from serving import client
from serving.process import control as process
from serving.process.job import endpoint_job
from serving.spec import DeploySpec
from tests.support.toy_bundle import Shop

ON_SMALL_DISK = 'mount -t tmpfs -o size=1m none "$0" && exec "$@" 2>>"$0/log"'
"""Runs a command in a mount namespace of its own, whose folder `$0` is a disk of one MiB."""


def can_mount(folder: Path) -> bool:
    """Whether this user may mount file systems, in a namespace of its own."""
    command = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0"', str(folder)]
    try:
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@dataclass(frozen=True, slots=True)
class SmallDiskEndpoint:
    """A running one."""

    url: str
    pid: int
    disk: Path
    """Its disk, as seen from here."""

    def fill(self) -> None:
        """Leave no byte of the disk free."""
        with (self.disk / "filler").open("wb", buffering=0) as filler:
            for size in (65_536, 1):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(b"x" * size)

    def children(self) -> list[int]:
        """Process ids of its workers."""
        return sorted(child.pid for child in psutil.Process(self.pid).children())


@contextlib.contextmanager
def on_small_disk(shop: Shop, spec: DeploySpec) -> Iterator[SmallDiskEndpoint]:
    """The endpoint of a shop, whose release folder lies elsewhere.

    Raises:
        RuntimeError: it does not begin to serve.
    """
    mount = shop.root / "disk"
    mount.mkdir()
    job = endpoint_job(shop.folder.path, shop.public_key, spec, shop.root / "s.json")
    command = [*process.serve_command(job), "--state", str(mount / "s.json")]
    endpoint = subprocess.Popen(["unshare", "-rm", "sh", "-c", ON_SMALL_DISK, str(mount), *command])
    disk = Path(f"/proc/{endpoint.pid}/root{mount}")
    try:
        deadline = time.monotonic() + 20
        while not (disk / "s.json").exists():
            if time.monotonic() > deadline or endpoint.poll() is not None:
                raise RuntimeError("the endpoint did not begin to serve")
            time.sleep(0.05)
        url = f"http://127.0.0.1:{json.loads((disk / 's.json').read_text())['port']}"
        client.wait_for_version(url, 1, timeout_s=20)
        yield SmallDiskEndpoint(url, endpoint.pid, disk)
    finally:
        endpoint.terminate()
        try:
            endpoint.wait(20)
        finally:
            endpoint.kill()
            endpoint.wait()
