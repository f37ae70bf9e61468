"""Threads that compute parts of a batch side by side.

Two threads that share every product meet several hundred times a step, and each meeting waits for the slower
one, or for another program that has its core. Here each takes some of the rows through all layers by itself;
they meet twice a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import torch

T = TypeVar("T")

MOST_WORKERS = 4
"""Each has gradients of its own, which are added up at the end of a step."""


class Workers:
    """Some threads, each with its share of the cores."""

    def __init__(self, threads: int) -> None:
        """`threads` is what they may use together."""
        self.count = max(1, min(threads, MOST_WORKERS))
        each = max(1, threads // self.count)
        self._pool = None
        if self.count > 1:
            # PyTorch keeps the number for each thread that sets it.
            self._pool = ThreadPoolExecutor(self.count, "rows", lambda: torch.set_num_threads(each))
            list(self._pool.map(lambda _: torch.get_num_threads(), range(self.count)))
            torch.set_num_threads(threads)

    def each(self, work: Callable[[int], T], parts: int) -> list[T]:
        """`work(part)` for every part from 0, side by side; results in their order."""
        if self._pool is None or parts == 1:
            return [work(part) for part in range(parts)]
        return list(self._pool.map(work, range(parts)))

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def shares(rows: int, parts: int) -> Sequence[slice]:
    """`rows` in at most `parts` parts of nearly equal size, none of them empty."""
    parts = max(1, min(rows, parts))
    ends = [rows * part // parts for part in range(parts + 1)]
    return [slice(first, last) for first, last in pairwise(ends)]
