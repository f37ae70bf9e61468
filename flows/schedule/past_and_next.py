"""The next starts and the last endings of projects, for `headgate status`. Asks no server."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from flows.schedule.endings import last_endings
from flows.schedule.record import next_starts
from release.home import Home

SHOWN = 5
"""Endings that are shown of a project, the last ones."""


def with_runs(report: dict[str, Any]) -> dict[str, Any]:
    """The report of `release.status` with `next` (one line a flow) and `endings` (newest last) of each
    project."""
    home = Home(Path(report["home"]))
    projects = [
        {
            **project,
            "next": next_starts(home, project["name"]),
            "endings": [asdict(one) for one in last_endings(home, project["name"], SHOWN)],
        }
        for project in report["projects"]
    ]
    return {**report, "projects": projects}
