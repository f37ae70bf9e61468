"""Which errors are foreseen: shown in their own words, without a traceback."""

from __future__ import annotations

from model.errors import ErrorKind, HeadgateError


def foreseen(error: object) -> ErrorKind | None:
    """Who has to act on an error; None where nobody foresaw it. The disk and the network are foreseen."""
    if isinstance(error, HeadgateError):
        return error.kind
    return "other" if isinstance(error, OSError) else None
