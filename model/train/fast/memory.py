"""What the C library does with memory that a step has freed, where it is glibc: it keeps it for the next
step, and gives it back to the system now and then.

By itself glibc gives freed pieces of a few MiB back at once. Each step then gets them anew, page by page, all
of them zeroed: 27,000 faults and a seventh of the processor time of a step of 768 tokens (decision 69).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Names of settings (malloc.h)."""
MOST_KEPT = 2**31 - 1
"""Bytes of free memory at the heap's end that are kept."""
LARGEST_KEPT = 2**25
"""Bytes of the largest piece that comes from the heap: more glibc does not take."""


def keep_memory() -> None:
    """Before threads start that compute steps: freed memory stays in this process, in one heap for all."""
    mallopt = _glibc("mallopt")
    if mallopt is not None:
        for name, value in (
            (_MMAP_THRESHOLD, LARGEST_KEPT),
            (_TRIM_THRESHOLD, MOST_KEPT),
            (_ARENA_MAX, 1),
        ):
            mallopt(name, value)


def give_back_memory() -> None:
    """After a phase whose memory the next one does not need: glibc keeps freed pieces between others."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _glibc(name: str) -> Callable[..., int] | None:
    """A function of the C library; none where it has no such thing."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
