"""What is kept of a watch over a version that was just deployed: by which rule, since when, what was counted.

One file a project, from before the version is promoted until its watch has ended, so that the next start
finds a watch whose process died. Does not watch.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from model.errors import HeadgateError
from model.faults import fault
from model.files import RecordDamaged, read_record, write_json
from release.home import Home
from serving.spec import BakeSpec


class BakeBroken(HeadgateError):
    """The record of a watch is not what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bake:
    """A watch."""

    version: int
    """Version that is watched, or will be once it serves."""
    former: int
    """Version that served before, to go back to."""
    rule: BakeSpec = field(default_factory=BakeSpec)
    """By which it is judged, whatever the configuration says meanwhile."""
    began: float = 0.0
    """When, in seconds since 1970; 0: not yet."""
    endpoint: str = ""
    """Process of the endpoint that was looked at last: its counts begin anew with another one."""
    last: dict[str, float] = field(default_factory=dict)
    """What it had counted of the version then."""
    counted: dict[str, float] = field(default_factory=dict)
    """What was counted since the watch began."""
    before: dict[str, float] = field(default_factory=dict)
    """What the endpoint had counted of the former version when the watch began."""
    looks: int = 0
    """How often it was judged."""
    judged_at: float = 0.0
    """Requests that had been counted then."""
    unseen_s: float = 0.0
    """For how long the endpoint could not be asked, in seconds."""
    broken: list[str] = field(default_factory=list)
    """Bounds that it breaks, one sentence each: once there are any, it is taken back."""

    @property
    def ends(self) -> float:
        """When, in seconds since 1970; 0: it has not begun."""
        return self.began + 60 * self.rule.minutes if self.began else 0.0

    @property
    def requests(self) -> float:
        """Requests that say something of the version."""
        return self.counted.get("answered", 0.0) + self.counted.get("failed", 0.0)


def bake_file(home: Home, name: str) -> Path:
    """Where the watch of project `name` is kept."""
    return home.root / "bakes" / f"{name}.json"


def plan_bake(home: Home, name: str, version: int, former: int, rule: BakeSpec) -> None:
    """Keep that a version is to be watched once it serves. Before it is promoted: whatever dies then, the
    next start knows."""
    keep_bake(home, name, Bake(version=version, former=former, rule=rule))
    fault("bake_planned")


def keep_bake(home: Home, name: str, bake: Bake) -> None:
    """Write what is known of a watch."""
    write_json(home.bakes / bake_file(home, name).name, asdict(bake), mode=0o600)


def drop_bake(home: Home, name: str) -> None:
    """The watch has ended, or is not to be."""
    bake_file(home, name).unlink(missing_ok=True)


def read_bake(home: Home, name: str) -> Bake | None:
    """The watch of project `name`; None where there is none.

    Raises:
        BakeBroken: the file was changed, or can't be read.
    """
    path = bake_file(home, name)
    try:
        found = read_record(path, Bake)
    except RecordDamaged as error:
        raise BakeBroken(
            f"{path}: not the record of a watch: {error}; the next `headgate retrain CONFIG` removes it, and "
            "the version that serves is not watched any more"
        ) from error
    # What never was is nothing to go on with; a clock that was set back makes no watch longer.
    return None if found is None else replace(found, began=min(found.began, time.time()))


def said_bake(bake: Bake) -> str:
    """A watch in words, for `headgate status`."""
    if bake.broken:
        return f"version {bake.version} is being taken back: {bake.broken[0]}"
    if not bake.began:
        return f"version {bake.version} is watched for {bake.rule.minutes:g} minutes once it serves"
    ends = datetime.fromtimestamp(bake.ends, UTC)
    return (
        f"version {bake.version} is watched until {ends:%H:%M:%S} UTC: {bake.requests:.0f} requests so far, "
        f"{bake.counted.get('failed', 0):.0f} failed; version {bake.former} is there to go back to"
    )
