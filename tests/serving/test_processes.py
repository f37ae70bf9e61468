"""Processes are known by id and start; waiting asks at once, again, and not for ever."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serving.processes import account, peak_resident_mib, process_start, resident_bytes
from serving.waiting import wait_until


def test_the_start_is_the_one_that_the_kernel_keeps() -> None:
    """In the unit of version 0.1, whose state files and tags stay comparable."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    assert process_start(os.getpid()) == int(fields[19])
    first = process_start(1)  # as old as the system; a parent may have started in the tick of its child
    assert first is not None and first < int(fields[19])


def test_no_process_and_a_zombie_have_no_start() -> None:
    assert process_start(2**22 + 1) is None
    assert process_start(10**30) is None
    ended = subprocess.Popen([sys.executable, "-c", ""])
    assert wait_until(lambda: process_start(ended.pid) is None or None, timeout_s=10, poll_s=0.01)
    assert ended.wait() == 0
    assert process_start(ended.pid) is None


def test_memory_of_a_process() -> None:
    assert 2**20 < resident_bytes(os.getpid()) <= peak_resident_mib(os.getpid()) * 2**20
    assert resident_bytes(None) == resident_bytes(2**22 + 1) == 0


def test_a_child_that_has_just_ended_has_no_memory() -> None:
    """It is a child still, until somebody asks how it ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    assert wait_until(lambda: process_start(ended.pid) is None or None, timeout_s=10, poll_s=0.01)
    assert peak_resident_mib(os.getpid()) > 1
    assert ended.wait() == 0


def test_waiting_ends_with_what_is_found_or_with_nothing() -> None:
    asked: list[int] = []

    def third() -> int | None:
        asked.append(0)
        return len(asked) if len(asked) == 3 else None

    assert wait_until(third, timeout_s=10, poll_s=0.001) == 3
    begin = time.monotonic()
    assert wait_until(lambda: None, timeout_s=0.05, poll_s=0.01) is None
    assert 0.05 <= time.monotonic() - begin < 2
    assert wait_until(lambda: 0, timeout_s=0, poll_s=1) == 0, "asked once, and zero is an answer"


def test_what_is_raised_while_waiting_ends_the_wait() -> None:
    def fails() -> None:
        raise KeyError("gone")

    with pytest.raises(KeyError):
        wait_until(fails, timeout_s=10, poll_s=0.001)


def test_the_account_is_the_one_of_the_system_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = pwd.getpwuid(os.getuid()).pw_name
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(variable, "somebody")
    monkeypatch.setenv("SUDO_UID", "1")
    assert account() == mine, "nothing here was started through sudo"
    # Under a process of the superuser that is called `sudo`, its word for who was before is taken.
    shutil.copy("/bin/sh", tmp_path / "sudo")
    program = f"{sys.executable} -c 'from serving.processes import account; print(account())'; true"
    called = subprocess.run([tmp_path / "sudo", "-c", program], capture_output=True, text=True, check=True)
    before = pwd.getpwuid(1).pw_name
    wanted = f"{mine}, by sudo of {before}" if os.geteuid() == 0 else mine
    assert called.stdout.strip() == wanted
