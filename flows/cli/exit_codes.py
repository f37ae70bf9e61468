"""Exit codes of the command line, for schedulers."""

from __future__ import annotations

from typing import assert_never

from model.errors import ErrorKind

DONE = 0
"""Deployed, or done."""
FAILED = 1
"""Anything without a code of its own: a crash, an endpoint that is down, a deployment that went back."""
USAGE = 2
"""Wrong usage or configuration."""
DATA_REJECTED = 3
"""The data gate stopped the run before anything was trained, or a source can't be used."""
MODEL_REJECTED = 4
"""A release gate failed or could not decide, or the contract gate wants consent; the champion stays."""
BUSY = 5
"""Another run of the project is at work; nothing was done."""
TAKEN_BACK = 6
"""A version was deployed, watched and taken back: the former one serves again."""


def of_error(kind: ErrorKind) -> int:
    """The exit code of a command that ended with a foreseen error."""
    match kind:
        case "usage":
            return USAGE
        case "data":
            return DATA_REJECTED
        case "other":
            return FAILED
        case _:
            assert_never(kind)
