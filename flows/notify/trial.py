"""A message to everybody who is to be told, whatever they want to be told of: whether it gets there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from flows.config.schema import Project
from flows.notify.deliver import MOST_S
from flows.notify.notices import Notice
from flows.notify.record import Record
from flows.notify.tell import Delivered, deliver
from release.home import Home


def deliver_trial(home: Home, project: Project, config: Path) -> list[Delivered]:
    """Send one to each address of `project`; what became of each."""
    found = []
    for spec in project.notify:
        events = ", ".join(spec.on)
        notice = Notice(
            event=spec.on[0],
            name=project.name,
            why=f"a test: this address is told of {events}; nothing happened",
        )
        record = Record(config=str(config.resolve()), targets=[asdict(spec)])
        found += deliver(home, record, [(notice, 0)], wait_s=MOST_S + 5)
    return found
