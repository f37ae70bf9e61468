"""What a project's messages need to be known of: who is told, when its runs ended, what was told already.

One file a project in the state folder, so that the follower, commands without a configuration and a run whose
configuration is broken can tell somebody, too. Holds names of variables and files, no address. Damaged, it
begins anew: nothing is decided by it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flows.notify.spec import NotifySpec
from model.files import RecordDamaged, locked, read_record, write_json
from release.home import Home

FORGOTTEN_S = 30 * 86_400.0
"""After so many seconds it is forgotten that something was told."""


@dataclass(slots=True, kw_only=True)
class Record:
    """See above. Times are in seconds since 1970."""

    config: str = ""
    """The configuration, as an absolute path."""
    targets: list[dict[str, Any]] = field(default_factory=list)
    """`NotifySpec` as JSON."""
    since: float = 0.0
    """When the record began."""
    periods: dict[str, Any] = field(default_factory=dict)
    """Flow → longest pause of its schedule, in seconds; only of those that run on one."""
    ended: dict[str, Any] = field(default_factory=dict)
    """Flow → when a run of it ended last, however it ended."""
    told: dict[str, Any] = field(default_factory=dict)
    """What was told → `at`, `folded` (how often the same happened since) and `notice`."""

    @property
    def specs(self) -> list[NotifySpec]:
        """Who is told."""
        known = {"on", "url_env", "url_file"}
        fitting = [
            one for one in self.targets if isinstance(one, Mapping) and set(one) <= known and "on" in one
        ]
        return [NotifySpec(**{**one, "on": tuple(one["on"])}) for one in fitting]


def record_file(home: Home, name: str) -> Path:
    """The record of project `name`."""
    return home.notices / f"{name}.json"


def read(home: Home, name: str) -> Record:
    """The record of a project; an empty one where there is none, or it is damaged."""
    try:
        found = read_record(record_file(home, name), Record)
    except RecordDamaged:
        found = None
    return found if found is not None else Record()


@contextlib.contextmanager
def changing(home: Home, name: str) -> Iterator[Record]:
    """The record to change, one process at a time; written when the block ends, if it was changed.

    Raises:
        OSError: it can't be written.
    """
    with locked(home.locks / f"{name}.notices.lock", timeout_s=10):
        record = read(home, name)
        before = asdict(record)
        yield record
        if asdict(record) != before:
            write_json(record_file(home, name), asdict(record), mode=0o600)


def project_of(home: Home, config: Path) -> str | None:
    """The project that a configuration was of when it could be read last."""
    wanted = str(config.resolve())
    for file in sorted(home.notices.glob("*.json")):
        if read(home, file.stem).config == wanted:
            return file.stem
    return None
