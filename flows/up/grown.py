"""Whether what runs for months has grown and may be started anew: nothing runs then, and nothing is due.

A process that lives for a year keeps more memory than it needs, whatever the cause (caches, free memory in
pieces). Started anew at a quiet moment, it takes what it took on the first day. Knows processes and a Prefect
server's address; starts and ends nothing.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from serving import client
from serving.errors import NoAnswer

SETTLED_S = 120.0
"""Age at which a process has loaded what it needs, in seconds: what it takes then is compared with."""
SHARE, LEAST_MIB = 0.1, 16.0
"""Growth from which a process is started anew: this share of what it took, and at least so many MiB."""
SOON_S = 120.0
"""A run that is due within so many seconds is waited for."""
ANSWER_S = 5.0
"""Longest wait for the server's answer, in seconds."""
GOING_ON = ("PENDING", "RUNNING", "CANCELLING")


@dataclass(slots=True)
class Grown:
    """Asked again and again; knows what each process took when it had settled."""

    api: str
    """Address of the Prefect server."""
    first: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Process → when it started, and the MiB that it took at `SETTLED_S`."""

    def __call__(self, running: Mapping[str, int]) -> str:
        """Which of the parts (name → process) has grown, if all may be started anew now; empty otherwise."""
        grown = [said for name, pid in running.items() if (said := self._said(name, pid))]
        return "; ".join(grown) if grown and self._quiet() else ""

    def _said(self, name: str, pid: int) -> str:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            started, takes = process.create_time(), process.memory_info().rss / 2**20
            if time.time() - started < SETTLED_S:
                return ""
            if self.first.get(pid, (0.0, 0.0))[0] != started:
                self.first[pid] = (started, takes)
            before = self.first[pid][1]
            if takes - before > max(SHARE * before, LEAST_MIB):
                return f"{name} takes {takes:.0f} MiB, {before:.0f} at first"
        return ""

    def _quiet(self) -> bool:
        """Whether no run goes on or is due soon; not, where the server does not say."""
        soon = (datetime.now(UTC) + timedelta(seconds=SOON_S)).isoformat()
        going_on: dict[str, Any] = {"state": {"type": {"any_": list(GOING_ON)}}}
        due = {"state": {"type": {"any_": ["SCHEDULED"]}}, "expected_start_time": {"before_": soon}}
        with contextlib.suppress(NoAnswer, ValueError):
            return all(self._count(runs) == 0 for runs in (going_on, due))
        return False

    def _count(self, runs: Mapping[str, Any]) -> int:
        """How many runs there are of a kind.

        Raises:
            serving.errors.NoAnswer: the server does not answer.
            ValueError: it answers something else.
        """
        reply = client.request(self.api, "POST", "/flow_runs/count", {"flow_runs": runs}, timeout_s=ANSWER_S)
        if reply[0] != 200:
            raise ValueError(f"status {reply[0]}")
        return int(json.loads(reply[2]))
