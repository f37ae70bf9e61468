"""What the system knows about a process: whether it still runs, and its memory.

A process is known by its id together with its start, because ids are reused. Does not start or stop any.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import psutil


def process_start(pid: int) -> int | None:
    """When a running process started, in clock ticks since boot; None where none runs, or only a zombie.

    Counted from boot, so that a change of the system's clock makes no process another one.
    """
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        since_boot_s = float(process.create_time()) - float(psutil.boot_time())
    except psutil.NoSuchProcess:
        return None
    return round(since_boot_s * os.sysconf("SC_CLK_TCK"))


def counts_alike(pid: int) -> bool:
    """Whether a process is numbered as this one is; in a container, numbers mean other processes."""
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino == Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return False


def account() -> str:
    """The account that this process runs as, by the system and not by its environment; and, where it was
    started through `sudo`, whose account that was: `deploy, by sudo of ada`."""
    name = _account_of(os.getuid())
    before = os.environ.get("SUDO_UID", "")
    return f"{name}, by sudo of {_account_of(int(before))}" if before.isdigit() and _under_sudo() else name


def _account_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _under_sudo() -> bool:
    """Whether a process of the superuser above this one is called `sudo`: anybody may set its variables."""
    try:
        above = psutil.Process().parents()
        return any(one.name() == "sudo" and one.uids().effective == 0 for one in above)
    except psutil.Error:
        return False


def resident_bytes(pid: int | None) -> int:
    """Resident set of a process, in bytes; 0 where there is none."""
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid is not None else 0
    except psutil.Error:
        return 0


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children so far, in seconds; of one that ended, none."""
    try:
        process = psutil.Process(pid)
        used = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    except psutil.Error:
        return 0.0
    return float(sum(times.user + times.system for times in used))


def peak_resident_mib(pid: int) -> float:
    """Sum of the peak resident sets of a process and its children, in MiB.

    Raises:
        psutil.NoSuchProcess: it ended.
        OSError: one of them ended meanwhile.
    """
    family = [pid, *(child.pid for child in psutil.Process(pid).children())]
    return sum(_peak_kib(one) for one in family) / 1024


def _peak_kib(pid: int) -> int:
    # psutil does not know a process's peak on Linux.
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    # A process that has just ended has no memory any more.
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
