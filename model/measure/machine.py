"""The machine that is measured on: what it is, and how many of its cores other work keeps busy.

Reads /proc alone. Does not decide what a busy machine means for a verdict.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args

from ..bundle.card import Engine

SLACK_CORES = 0.25
"""How much of the cores that a request needs may be taken, before the machine counts as crowded. An idle
machine's own services take a few hundredths."""
SAMPLE_S = 2.0
"""How long the machine is looked at to tell whether it is quiet, in seconds."""
_NAMES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""Columns of /proc/stat (proc(5)); what follows is contained in `user`."""


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def busy_core_s() -> float:
    """Seconds that these cores have been busy since the machine started, all added up. Time that a virtual
    machine's host took away counts as busy."""
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    ticks = 0
    for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines():
        name, *columns = line.split()
        if name in mine:
            counts = dict(zip(_NAMES, map(int, columns), strict=False))
            ticks += sum(count for column, count in counts.items() if column not in ("idle", "iowait"))
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class BusyMeter:
    """How many cores others keep busy, from its making on."""

    began_s: float = field(default_factory=time.monotonic)
    """When it began to look."""
    busy_s: float = field(default_factory=busy_core_s)
    """What the cores had been busy for then, in seconds."""

    def others(self, own_cpu_s: float = 0.0) -> float:
        """Cores busy on average, without `own_cpu_s` seconds of processor time that were our own work."""
        wall_s = max(time.monotonic() - self.began_s, 1e-3)
        return max(0.0, (busy_core_s() - self.busy_s - own_cpu_s) / wall_s)


def crowded(busy_cores: float, threads: int, of: int) -> bool:
    """Whether others keep so many of `of` cores busy that a request of `threads` has to wait for one."""
    return of - busy_cores < min(threads, of) - SLACK_CORES


def wait_for_quiet(
    threads: int, longest_s: float, say: Callable[[str], None], *, sample_s: float = SAMPLE_S
) -> float:
    """Wait until `threads` cores are free, at most `longest_s` seconds; how long it waited, in seconds.

    Args:
        say: told once why it waits.
    """
    began_s, said = time.monotonic(), False
    while (left_s := longest_s - (time.monotonic() - began_s)) > 0:
        meter = BusyMeter()
        time.sleep(min(sample_s, left_s))
        busy = meter.others()
        if not crowded(busy, threads, cores()):
            break
        if not said:
            said = True
            say(
                f"other work keeps {busy:.1f} of {cores()} cores busy, and requests are timed at {threads} "
                f"threads: waiting up to {longest_s:.0f} s for a quiet machine"
            )
    return time.monotonic() - began_s


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory, engine: for the evidence."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": cores(),
        "memory_mib": memory_bytes // (1 << 20),
        **{name: found for name in get_args(Engine) if (found := _version(name))},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
