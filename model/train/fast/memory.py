"""Gives memory that is free in this process back to the system, where the C library can."""

from __future__ import annotations

import ctypes
import sys


def give_back_memory() -> None:
    """After a phase whose memory the next one does not need: glibc keeps freed pieces between others."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have no such call
        if trim is not None:
            trim(0)
