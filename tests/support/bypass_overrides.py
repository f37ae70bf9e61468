"""Ways to make an override last longer than it was given for, without the private key.

Each time a version that failed serves by an override, legally, for a few seconds; once the endpoint answers
with it something is done to the files or to the clock. Each way returns just after the override's end: an
answer of that version from then on is ungated traffic.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from serving.client import get
from serving.store import signing
from serving.store.override import OVERRIDE_FILE
from tests.support.bypass_files import FAILED, given_override
from tests.support.bypass_world import CLOCK_FILE, EVIL, World

LASTS_S = 3.0
"""Seconds from its promotion to the end of the override."""


def _prolonged(change: Callable[[World], None]) -> Callable[[World], None]:
    """Version 2 serves by an override, `change` is done, and the override's time runs out."""

    def attack(world: World) -> None:
        ends = datetime.now(UTC) + timedelta(seconds=LASTS_S)
        override = dataclasses.replace(given_override(world, 1), expires=ends.isoformat())
        bundle, _ = world.bundle(EVIL)
        world.folder.stage(bundle, world.manifest(2, EVIL, verdict=FAILED), world.private_key, override)
        world.folder.promote(2, world.private_key)
        while get(world.url, "/version")[1]["version"] != 2:
            if datetime.now(UTC) > ends:
                raise RuntimeError("the override ended before the endpoint followed it")
            time.sleep(0.02)
        true_end = time.monotonic() + (ends - datetime.now(UTC)).total_seconds()
        change(world)
        time.sleep(max(0.0, true_end - time.monotonic()) + 0.05)

    return attack


def _pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _key_exchanged(world: World) -> None:
    shutil.copyfile(signing.ensure_key_pair(world.place / "forger")[1], world.public_key)


def _clock_set_back(world: World) -> None:
    (world.place / CLOCK_FILE).write_text("-86400")


WAYS: dict[str, Callable[[World], None]] = {
    "override prolonged: its file a named pipe": _prolonged(
        lambda world: _pipe(world.folder.version_dir(2) / OVERRIDE_FILE)
    ),
    "override prolonged: the pointer a named pipe": _prolonged(
        lambda world: _pipe(world.folder.pointer_path)
    ),
    "override prolonged: a former pointer a named pipe": _prolonged(
        lambda world: _pipe(world.folder.history_path / "00000001")
    ),
    "override prolonged: the manifest a named pipe": _prolonged(
        lambda world: _pipe(world.folder.version_dir(2) / "release.json")
    ),
    "override prolonged: the public key exchanged": _prolonged(_key_exchanged),
    "override prolonged: the public key deleted": _prolonged(lambda world: world.public_key.unlink()),
    "override prolonged: the clock set back by a day": _prolonged(_clock_set_back),
}
"""What is tried → how."""
