"""Dynamic micro-batching: texts of requests that arrive together share one forward pass.

One thread owns the model. While it computes, requests queue up; what has queued is the next batch, so
batches grow with the load and a lone request never waits. The queue is bounded. Texts asked of different
versions never share a batch. Does not know HTTP.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.errors import HeadgateError
from serving.http.loading import Served

Probabilities: TypeAlias = dict[str, NDArray[np.float32]]
"""Head → (N, L_h), one row a text."""


class QueueFull(HeadgateError):
    """Too many texts wait already."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many texts wait for the model")
        self.retry_after_s = retry_after_s
        """When the queue should have emptied, in whole seconds, at least 1."""


class Closed(HeadgateError):
    """The batcher takes on nothing more."""


@dataclass(slots=True, eq=False)
class _Job:
    """One request."""

    served: Served
    finish: Callable[[Probabilities | BaseException], None]
    missing: int
    parts: list[Probabilities] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Piece:
    """Texts of one request that go through the model together; they keep their order in the queue."""

    job: _Job
    texts: Sequence[str]


class Batcher:
    """Takes texts from many requests and answers them in few forward passes.

    Args:
        max_batch: most texts in one pass.
        wait_ms: how long a batch waits for further requests, in milliseconds, and only right after a batch of
            several requests: then their clients are likely to ask again.
        queue_limit: most texts that wait. An empty queue takes any one request.
        on_batch: called after each pass with the number of texts and its duration in seconds.
    """

    def __init__(
        self,
        *,
        max_batch: int = 32,
        wait_ms: float = 1.0,
        queue_limit: int = 256,
        on_batch: Callable[[int, float], None] = lambda texts, seconds: None,
    ) -> None:
        self.max_batch = max_batch
        self.wait_s = wait_ms / 1000
        self.queue_limit = queue_limit
        self._on_batch = on_batch
        self._queue: deque[_Piece] = deque()
        self._queued_texts = 0
        self._text_s = 0.005
        self._last_jobs = 1
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    @property
    def queued_texts(self) -> int:
        """Texts that wait now."""
        return self._queued_texts

    async def answer(self, served: Served, texts: Sequence[str]) -> Probabilities:
        """Probabilities for every text and head, by this version.

        Raises:
            QueueFull: too many texts wait.
            Closed: the batcher was closed before.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Probabilities] = loop.create_future()

        def set_result(result: Probabilities | BaseException) -> None:
            if future.done():
                return
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        def finish(result: Probabilities | BaseException) -> None:
            loop.call_soon_threadsafe(set_result, result)

        self._submit(served, texts, finish)
        return await future

    def close(self) -> None:
        """Answer what is queued, then end the thread. New requests get `Closed`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _submit(
        self, served: Served, texts: Sequence[str], finish: Callable[[Probabilities | BaseException], None]
    ) -> None:
        starts = range(0, len(texts), self.max_batch)
        job = _Job(served, finish, missing=len(starts))
        with self._changed:
            if self._closed:
                raise Closed
            if self._queue and self._queued_texts + len(texts) > self.queue_limit:
                raise QueueFull(min(60, max(1, math.ceil(self._queued_texts * self._text_s))))
            self._queue.extend(_Piece(job, texts[start : start + self.max_batch]) for start in starts)
            self._queued_texts += len(texts)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            batch = self._take()
            if not batch:
                return
            self._compute(batch)

    def _take(self) -> list[_Piece]:
        """The next batch; empty when closed and nothing is left."""
        with self._changed:
            while not self._queue:
                if self._closed:
                    return []
                self._changed.wait()
            batch = [self._queue.popleft()]
            texts = len(batch[0].texts)
            deadline = time.monotonic() + (self.wait_s if self._last_jobs > 1 else 0.0)
            while True:
                while self._fits(batch[0], texts):
                    batch.append(self._queue.popleft())
                    texts += len(batch[-1].texts)
                left = deadline - time.monotonic()
                if self._queue or len(batch) >= self._last_jobs or left <= 0 or self._closed:
                    break
                self._changed.wait(left)
            self._queued_texts -= texts
            self._last_jobs = len(batch)
            return batch

    def _fits(self, first: _Piece, texts: int) -> bool:
        if not self._queue:
            return False
        following = self._queue[0]
        return following.job.served is first.job.served and texts + len(following.texts) <= self.max_batch

    def _compute(self, batch: list[_Piece]) -> None:
        texts = [text for piece in batch for text in piece.texts]
        begin = time.monotonic()
        try:
            answers = batch[0].job.served.bundle.probabilities(texts)
        except Exception as error:
            if len(batch) == 1:
                _add_part(batch[0], error)
                return
            # One request must not spoil the others of its batch: each is tried alone.
            for piece in batch:
                self._compute([piece])
            return
        seconds = time.monotonic() - begin
        self._text_s += 0.1 * (seconds / len(texts) - self._text_s)
        start = 0
        for piece in batch:
            end = start + len(piece.texts)
            _add_part(piece, {head: rows[start:end] for head, rows in answers.items()})
            start = end
        self._on_batch(len(texts), seconds)


def _add_part(piece: _Piece, result: Probabilities | BaseException) -> None:
    """Add a part to its request, and finish the request with its last part or first error."""
    job = piece.job
    if job.missing <= 0:
        return
    if isinstance(result, BaseException):
        job.missing = 0
        job.finish(result)
        return
    job.parts.append(result)
    job.missing -= 1
    if job.missing == 0:
        whole = job.parts
        job.finish(
            whole[0]
            if len(whole) == 1
            else {head: np.concatenate([part[head] for part in whole]) for head in whole[0]}
        )
