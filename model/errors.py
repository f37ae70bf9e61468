"""What can go wrong in `model`, as an exception tree (stdlib only).

    HeadgateError               the root of every foreseen error (`model.bundle.errors`)
    └── ModelError
        ├── BadInput            a job, rows folder, fitted folder or option that cannot be used (exit code 2)
        │   ├── BackboneError   the pretrained encoder is absent, unreachable, damaged or of the wrong kind
        │   └── BundleError     a bundle that may not be used
        └── TrainingDiverged    a loss is infinite or not a number

Messages name files, lines, heads and fields; they never hold a text of the data.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import PurePath

from .bundle.errors import BadInput, BundleError, ErrorKind, HeadgateError, ModelError, TextError

__all__ = [
    "BackboneError",
    "BadInput",
    "BundleError",
    "ErrorKind",
    "HeadgateError",
    "ModelError",
    "TextError",
    "TrainingDiverged",
    "foreseen",
    "named",
    "places",
    "told",
]


class BackboneError(BadInput):
    """The pretrained encoder cannot be used."""


class TrainingDiverged(ModelError):
    """A loss is infinite or not a number; the message names the step and the rows."""


def foreseen(error: object) -> ErrorKind | None:
    """Who has to act on an error; None where nobody foresaw it. Disk and network are foreseen."""
    if isinstance(error, HeadgateError):
        return error.kind
    return "other" if isinstance(error, OSError) else None


def told(error: object) -> str:
    """A foreseen error in words. Those of the system name the place and not what to do, which is added."""
    return str(error) if isinstance(error, HeadgateError) else f"{error}; correct that and run again"


MOST_PLACES = 3
"""Places that one sentence names."""


def places(found: Iterable[tuple[str, int]]) -> str:
    """The first files and lines as a sentence names them: `rows.csv:2, 3, more.csv:7`."""
    said, before = [], ""
    for file, line in islice(found, MOST_PLACES):
        name = PurePath(file).name
        said.append(f"{line}" if name == before else f"{name}:{line}")
        before = name
    return ", ".join(said)


MOST_LABEL_CHARS = 40
"""Longest label that a sentence writes out, in characters."""


def named(label: str) -> str:
    """A label in a sentence: in backticks, a long one cut, one with control characters escaped."""
    cut = label if len(label) <= MOST_LABEL_CHARS else f"{label[: MOST_LABEL_CHARS - 1]}…"
    return f"`{cut}`" if cut.isprintable() else repr(cut)
