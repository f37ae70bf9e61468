"""Memory that a step frees stays for the next one, until it is given back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = """
import ctypes, resource, sys
from model.train.fast.memory import give_back_memory, keep_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]


def faults(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        pieces = [libc.malloc(8 * 2**20) for _ in range(8)]
        for piece in pieces:
            libc.memset(piece, 1, 8 * 2**20)
        for piece in reversed(pieces):
            libc.free(piece)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


if "keep" in sys.argv:
    keep_memory()
faults(1)
print(faults(3))
give_back_memory()
print(faults(1))
"""
PAGES = 8 * 8 * 2**20 // 4096
"""Of a step."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is about glibc")
@pytest.mark.parametrize("kept", [True, False])
def test_steps_get_no_new_pages(kept: bool) -> None:
    command = [sys.executable, "-c", SCRIPT, *(["keep"] if kept else [])]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT).stdout
    steady, after = map(int, said.split())
    assert after > PAGES // 2, "what was given back is had anew"
    assert steady < PAGES // 10 if kept else steady > PAGES
