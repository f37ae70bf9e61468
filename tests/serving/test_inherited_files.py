"""An endpoint outlives whoever starts it, and so keeps nothing open that its starter was given."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from tests.serving.conftest import SPEC


def test_a_lock_around_the_command_that_starts_it_is_free_again_when_that_ends(
    shop: Any, start: Any, tmp_path: Path
) -> None:
    """As `flock FILE headgate retrain CONFIG` in a crontab: the lock is a file that the command inherits."""
    shop.release(1)
    given = os.open(tmp_path / "lock", os.O_RDONLY | os.O_CREAT)
    os.set_inheritable(given, True)
    fcntl.flock(given, fcntl.LOCK_EX)
    state = start(SPEC)
    os.close(given)
    with (tmp_path / "lock").open() as again:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    kept = {str(file.readlink()) for file in Path(f"/proc/{state.pid}/fd").iterdir()}
    assert str(tmp_path / "lock") not in kept
