"""Remove files and folders that a process was writing when it died, anywhere in the state folder.

What is being written is called `.NAME.PID.WHERE_TOKEN` (`model.files.unfinished_path`): if it counts here,
the number says whether the process still runs. Of a process elsewhere, on another machine or in a container
that shares the folder, only the age of what it writes tells. Does not know what the files would have become.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from model.cache import sweep_unfinished
from model.files import process_space
from release.home import Home
from release.keep.owner import ELSEWHERE_S, last_written
from serving.errors import EndpointError
from serving.process import control
from serving.process.http_timing import STATE_FILE
from serving.processes import process_start

BEING_WRITTEN = re.compile(r"\.(.+?)\.(?P<pid>\d+)(\.((?P<where>[0-9a-f]{8})_)?\w+)?")
"""Name of a file or folder that is not yet at its place."""
LIBRARIES = frozenset({"mlflow", "prefect", "datasets", "matplotlib"})
"""Folders that libraries keep; what they leave there is theirs."""

RESUMED = ("baselines", "shared", "sweep")
"""Kinds of cached work that goes on after a kill."""
UNFINISHED_S = 14 * 86_400.0
"""How long nobody went on with a training that was cut short, before its checkpoint goes, in seconds."""

ORPHAN_END_S = 2.0
"""How long an endpoint that nobody measures any more may take to end, in seconds."""


def remove_leftovers(home: Home) -> list[str]:
    """Remove what dead processes left half written below `home`; one sentence each.

    A file whose number belongs to a living process stays, also where that is another program by chance: a
    later start removes it. So does what was written elsewhere, for a day.
    """
    done = []
    for what in sweep_unfinished(home.cache, RESUMED, UNFINISHED_S):
        done.append(f"removed the training {what}, which was cut short and never went on")
    for path in _being_written(home.root):
        if path.is_dir() and not path.is_symlink():
            _stop_orphan(path)
            shutil.rmtree(path, ignore_errors=True)  # another start may be at it, too
        else:
            path.unlink(missing_ok=True)
        done.append(f"removed {path.name}")
    return done


def _stop_orphan(folder: Path) -> None:
    """Stop the private endpoint that was being measured there, should it outlive who measured it."""
    with contextlib.suppress(EndpointError, OSError):
        control.stop(folder / STATE_FILE, wait_s=ORPHAN_END_S)


def _being_written(root: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(root):
        for name in [*folders, *files]:
            match = BEING_WRITTEN.fullmatch(name)
            if match is not None and _left_behind(match, Path(place) / name):
                yield Path(place) / name
        folders[:] = [n for n in folders if n not in LIBRARIES and not BEING_WRITTEN.fullmatch(n)]


def _left_behind(match: re.Match[str], path: Path) -> bool:
    if match["where"] == process_space():
        return process_start(int(match["pid"])) is None
    return time.time() - last_written(path) > ELSEWHERE_S
