"""What somebody is told: one short message an event, from the outcome of a flow or from an error.

A message says what happened to which version, why in one sentence, where to look and what to run. It holds no
text of the data, and passwords are masked. Does not know whom it goes to.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.notify.spec import Event
from flows.outcome import Outcome
from serving.shown import one_line

MOST_WHY = 300
"""Longest sentence that says why, in characters."""

EVENT_OF_STAGE: dict[str, Event] = {
    "deployed": "deployed",
    "data_rejected": "rejected",
    "needs_consent": "rejected",
    "model_rejected": "rejected",
    "held": "inconclusive",
    "deployment_undone": "endpoint_refused",
    "unconfirmed": "failed",
    "rolled_back": "rolled_back",
    "taken_back": "rolled_back",
    "unchanged": "unchanged",
}
"""Ending of a flow → what is told of; of the others nothing is."""

WHAT: dict[Event, str] = {
    "rejected": "rejected",
    "inconclusive": "not decided",
    "deployed": "deployed",
    "unchanged": "unchanged",
    "rolled_back": "rolled back",
    "drifted": "data drifted",
    "failed": "FAILED",
    "override_expiring": "override ends soon",
    "endpoint_refused": "endpoint refused",
    "not_run": "NOT RUN",
}
"""How an event is called in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message."""

    event: Event
    name: str
    """Project."""
    version: int | None = None
    """Registered version that it is about."""
    why: str = ""
    look: str = ""
    """Page or command that shows more."""
    run: str = ""
    """Command that does something about it."""
    once: str = ""
    """Of a lasting condition: what it is known by; it is told only once."""

    @property
    def key(self) -> str:
        """Equal for the same event."""
        return self.once or f"{self.event} {self.version or ''}".strip()

    @property
    def title(self) -> str:
        """The first line."""
        version = "" if self.version is None else f", version {self.version}"
        return one_line(f"headgate {self.name}: {WHAT[self.event]}{version}")

    def body(self, folded: int = 0) -> str:
        """The lines below it.

        Args:
            folded: how often the same happened since it was told last, beside this time.
        """
        lines = [short(self.why)] if self.why else []
        if folded:
            lines.append(f"{folded} more of the same since it was told last")
        lines += [f"look: {self.look}"] if self.look else []
        lines += [f"run: {self.run}"] if self.run else []
        return "\n".join(map(one_line, lines)) or one_line(self.title)

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


def short(text: str) -> str:
    """A text in one line, cut at a word where it is long."""
    line = one_line(" ".join(text.split()))
    return line if len(line) <= MOST_WHY else line[:MOST_WHY].rpartition(" ")[0] + " …"


def notice_of(outcome: Outcome, config: str = "", where: str = "") -> Notice | None:
    """What is told of an outcome; None where nothing is.

    Args:
        config: the project's configuration.
        where: ` --home …`, where commands would not find the state folder by themselves.
    """
    event = EVENT_OF_STAGE.get(outcome.stage)
    if event is None:
        return None
    if event == "rejected" and outcome.undecided:
        event = "inconclusive"
    version = outcome.registered.get("version") or outcome.deployed.get("version")
    more = f" (and {len(outcome.reasons) - 1} more)" if len(outcome.reasons) > 1 else ""
    why = short(outcome.reasons[0]) + more if outcome.reasons else ""
    status = f"headgate status {outcome.name}{where}"
    return Notice(
        event=event,
        name=outcome.name,
        version=version,
        why=why or ("every gate passed" if event == "deployed" else ""),
        look=next(iter(outcome.pages.values()), status),
        run=_advice(event, outcome, version, config, where),
    )


def _advice(event: Event, outcome: Outcome, version: int | None, config: str, where: str) -> str:
    name = outcome.name
    if event == "inconclusive" and version is not None:
        return f"headgate judge {name} {version}{where}"
    if event == "deployed":
        return f"headgate rollback {name}{where} (goes back)"
    if outcome.stage == "data_rejected" and config:
        return f"headgate validate {shlex.quote(config)}{where}"
    return f"headgate status {name}{where}"


def failure(name: str, why: str, *, what: str, config: str = "", where: str = "") -> Notice:
    """What is told of a run that ended without an outcome.

    Args:
        what: flow.
    """
    again = f"headgate {what} {shlex.quote(config)}{where}" if config else f"headgate status {name}{where}"
    return Notice(
        event="failed", name=name, why=f"{what}: {why}", look=f"headgate status {name}{where}", run=again
    )


def drifted(name: str, heads: str, *, look: str, config: Path) -> Notice:
    """What is told of data that left the champion's."""
    run = f"headgate retrain {shlex.quote(str(config))}"
    return Notice(event="drifted", name=name, why=f"drift beyond the fail level: {heads}", look=look, run=run)
