"""What a Prefect server and the logs keep of the runs of a group."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.support.running_group import ROOT, Up

PAGE = 200
FLOWS = ("retrain", "validate")
LEFT = {"Scheduled", "Late"}
"""Of runs that nobody has begun."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a deployment; times in seconds since 1970."""

    id: str
    name: str
    deployment: str
    flow: str
    state: str
    message: str
    due: float
    start: float | None
    end: float | None


def read_runs(group: Up) -> list[Ran]:
    """All runs that a schedule or an event began, in their order."""
    flows = {one["id"]: one["name"] for one in group.ask("/flows/filter")}
    found: list[Ran] = []
    while True:
        page = group.ask("/flow_runs/filter", sort="START_TIME_ASC", limit=PAGE, offset=len(found))
        found += [_ran(one, flows) for one in page]
        if len(page) < PAGE:
            kept = [one for one in found if one.flow in FLOWS and one.deployment and one.state not in LEFT]
            return sorted(kept, key=lambda one: one.due)


def text_of(group: Up, run: str) -> str:
    """What Prefect keeps of a run's log."""
    found = group.ask("/logs/filter", logs={"flow_run_id": {"any_": [run]}}, limit=PAGE)
    return "\n".join(str(one["message"]) for one in found or [])


def _ran(raw: Mapping[str, Any], flows: Mapping[str, str]) -> Ran:
    state = raw["state"] or {}
    return Ran(
        id=raw["id"],
        name=raw["name"],
        deployment=str(raw["deployment_id"] or ""),
        flow=flows.get(raw["flow_id"], ""),
        state=str(state.get("name")),
        message=str(state.get("message") or ""),
        due=_seconds(raw["expected_start_time"]) or 0.0,
        start=_seconds(raw["start_time"]),
        end=_seconds(raw["end_time"]),
    )


def _seconds(moment: str | None) -> float | None:
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def at_once(ran: Sequence[Ran], killed: Mapping[str, float]) -> list[str]:
    """Pairs of one deployment of which the second began before the first ended, a line each. One that ended
    `Busy` did nothing.

    Args:
        killed: id → when its process was killed: it did nothing from then on, whenever it was closed.
    """
    found = []
    for deployment in sorted({one.deployment for one in ran}):
        worked = [one for one in ran if one.deployment == deployment and one.state != "Busy" and one.start]
        for first, second in pairwise(sorted(worked, key=lambda one: one.start or 0.0)):
            end = min(first.end or float("inf"), killed.get(first.id, float("inf")))
            if second.start is not None and second.start < end:
                found.append(
                    f"{first.flow}: {second.name} ({second.state}) began {end - second.start:.1f} s before "
                    f"{first.name} ({first.state}) ended"
                )
    return found


OURS = re.compile(
    rf'File "{re.escape(str(ROOT))}/(?:flows|tasks|report|release|sources|expectations|serving|model)/'
)
TRACE = re.compile(r"Traceback \(most recent call last\).*\n(?:[ \t|].*\n|\n)*.*")


def tracebacks(logs: Sequence[Path]) -> tuple[list[str], list[str]]:
    """(Those with a line of ours in them, those of libraries alone): log and last line of each."""
    ours, others = [], []
    for log in logs:
        for trace in TRACE.finditer(log.read_text(encoding="utf-8", errors="replace")):
            found = ours if OURS.search(trace[0]) else others
            found.append(f"{log.name}: {trace[0].splitlines()[-1][:200]}")
    return ours, others
