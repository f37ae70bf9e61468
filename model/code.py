"""The digest of the code of this package, and the versions of the libraries beside it (stdlib only)."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import NamedTuple

PROGRAM = "headgate"
TRAINING = ("torch", "transformers", "tokenizers", "accelerate")
"""Libraries that decide what weights a training makes, beside this package."""
WITHOUT_EFFECT = ("docs", "test", "traces")
"""Extras of Headgate that decide nothing about a model."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FIELDS = ("Name", "Version", "Requires-Dist")
_FIELD = re.compile(rf"^({'|'.join(_FIELDS)}): *(.*?)\s*$", re.MULTILINE)


@cache
def code_digest() -> str:
    """sha256 (hex) of every module of `model`, sub-folders included. It is part of cache keys: results of
    other code are not found."""
    return folder_digest(Path(__file__).parent)


def folder_digest(root: Path) -> str:
    """sha256 (hex) over paths and bytes of the `.py` files below a folder, in order of path."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        for part in (path.relative_to(root).as_posix().encode(), path.read_bytes()):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


@cache
def dependencies() -> Mapping[str, str]:
    """Library → installed version, of everything that Headgate needs, directly or not, and of Python. Of
    everything installed where Headgate itself is not known as installed. What else an environment holds
    changes nothing."""
    found = {_plain(one.name): one for one in map(_installed, distributions())}
    names, waiting = set[str](), [PROGRAM] if PROGRAM in found else list(found)
    while waiting:
        name = waiting.pop()
        if name in found and name not in names:
            names.add(name)
            waiting += _required(found[name])
    versions = {name: found[name].version for name in sorted(names) if name != PROGRAM}
    return {"python": platform.python_version(), **versions}


def training_code() -> str:
    """Everything but its input that a training depends on, for cache keys: this package and the versions of
    the libraries that train."""
    return " ".join((code_digest(), *(f"{name} {dependencies().get(name)}" for name in TRAINING)))


class Installed(NamedTuple):
    """What a library's metadata say of it."""

    name: str
    version: str
    requires: Sequence[str]


def _installed(one: Distribution) -> Installed:
    """From the lines before the first empty one. The standard library parses all of them, descriptions
    included, for each field anew: two hundred libraries take it half a second."""
    fields = _FIELD.findall((one.read_text("METADATA") or "").partition("\n\n")[0])
    of = {name: [value for field, value in fields if field == name] for name in _FIELDS}
    if len(of["Name"]) == len(of["Version"]) == 1:
        return Installed(of["Name"][0], of["Version"][0], of["Requires-Dist"])
    return Installed(one.metadata["Name"] or "", one.version, one.requires or ())


def _required(one: Installed) -> list[str]:
    """Names of what a library may need: where an extra is installed it counts, whoever installed it, but for
    those of Headgate that decide nothing."""
    own = _plain(one.name) == PROGRAM
    left_out = re.compile(rf"""extra == ['"]({"|".join(WITHOUT_EFFECT)})['"]""") if own else None
    lines = (line for line in one.requires if left_out is None or not left_out.search(line))
    matches = map(_NAME.match, lines)
    return [_plain(match[0]) for match in matches if match is not None]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
