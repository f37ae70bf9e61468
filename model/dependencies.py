"""Versions of the libraries that Headgate needs, as they are installed (stdlib only).

Does not know what is made with them.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import Distribution, distributions

PROGRAM = "headgate"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@cache
def dependencies() -> Mapping[str, str]:
    """Library → installed version, of everything that Headgate needs, directly or not, and of Python. Of
    everything installed where Headgate itself is not known as installed. What else an environment holds
    changes nothing."""
    found = {_plain(one.metadata["Name"] or ""): one for one in distributions()}
    names, waiting = set[str](), [PROGRAM] if PROGRAM in found else list(found)
    while waiting:
        name = waiting.pop()
        if name in found and name not in names:
            names.add(name)
            waiting += _required(found[name])
    versions = {name: found[name].version for name in sorted(names) if name != PROGRAM}
    return {"python": platform.python_version(), **versions}


def _required(one: Distribution) -> list[str]:
    """Names of what a library may need: where an extra is installed it counts, whoever installed it."""
    matches = (_NAME.match(line) for line in one.requires or ())
    return [_plain(match[0]) for match in matches if match is not None]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
