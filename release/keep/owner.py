"""Whose a run folder is: its project, and the process that writes to it.

In `runs/RUN/run.json`, written when the folder is made. Does not know what else is in the folder.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from model.files import RecordDamaged, process_space, read_json, read_record, write_json
from serving.processes import process_start

OWNER_FILE = "run.json"
ELSEWHERE_S = 86_400.0
"""How long the run of a process elsewhere, or of nobody known, counts as going on after something was written
to it, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who made a run folder."""

    project: str
    pid: int
    start: int | None
    """When the process started, in clock ticks since boot."""
    where: str
    """Where its number counts (`model.files.process_space`)."""


def mark_run(folder: Path, project: str) -> None:
    """Say that this process writes to a run folder of `project`, which is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    start = process_start(os.getpid())
    owner = {"project": project, "pid": os.getpid(), "start": start, "where": process_space()}
    write_json(folder / OWNER_FILE, owner)


def project_of(folder: Path) -> str | None:
    """The project of a run folder; None where it does not say: an older Headgate made it."""
    with contextlib.suppress(RecordDamaged):
        if (owner := read_record(folder / OWNER_FILE, Owner)) is not None:
            return owner.project
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(read_json(folder / "evidence" / "kept.json")["run"]["name"])
    return None


def is_live(folder: Path, now: float) -> bool:
    """Whether a process may still write to a run folder, or read from it."""
    owner = None
    with contextlib.suppress(RecordDamaged):
        owner = read_record(folder / OWNER_FILE, Owner)
    if owner is not None and owner.where == process_space():
        return process_start(owner.pid) == owner.start
    return now - last_written(folder) < ELSEWHERE_S


def last_written(path: Path) -> float:
    """When a file, or anything in a folder, was written last, in seconds since 1970; now, if it is gone."""
    try:
        found = [path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())]
        return float(max(one.lstat().st_mtime for one in found))
    except OSError:
        return time.time()
