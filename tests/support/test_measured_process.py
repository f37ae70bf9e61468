"""What a command took is read of the command itself, and a failed one says why."""

from __future__ import annotations

import sys

import pytest

from tests.support.measured_process import run_measured


def test_memory_is_that_of_the_command_and_not_of_who_started_it() -> None:
    held = b"x" * 300_000_000  # more than either command needs
    small = run_measured([sys.executable, "-c", "pass"])
    large = run_measured([sys.executable, "-c", "len(b'x' * 150_000_000)"])
    assert small.peak_mib < 60, len(held)
    assert 143 < large.peak_mib < 220
    assert small.cpu_seconds > 0 and small.seconds < 60


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"status 3: no rows here"):
        run_measured(
            [sys.executable, "-c", "import sys; print('no rows here', file=sys.stderr); sys.exit(3)"]
        )
