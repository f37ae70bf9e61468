"""Dynamic micro-batching: texts of requests that arrive together share one forward pass.

One thread owns the model. While it computes, requests queue up; what has queued is the next batch, so
batches grow with the load and a lone request never waits. The queue is bounded, in texts. Texts asked of
different versions never share a batch. Does not know HTTP.

Large requests must not keep small ones waiting, so

* a request may take at most half of the room that is left in the queue (a dynamic threshold: Choudhury &
  Hahne 1998, IEEE/ACM Transactions on Networking), which leaves some to smaller ones however many large
  ones come;
* requests that fit one pass go first, larger ones are served in slices, one after the other;
* while requests of one text come, a slice is so long that its pass takes at most `SLOWER` times as long as
  that of one text: it is what they may have to wait for;
* whoever has waited longest leads every `TURN`th pass, so that nobody starves.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
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


SLOWER = 1.5
"""How much longer than the pass of one text that of a slice may take while requests of one text come."""
ALONE_S = 10.0
"""How long after a request of one text further ones are expected, in seconds."""
TURN = 8
"""Every so many passes, at least, are led by the request that has waited longest."""


@dataclass(slots=True, eq=False)
class _Job:
    """One request."""

    served: Served
    texts: Sequence[str]
    finish: Callable[[Probabilities | BaseException], None]
    taken: int = 0
    """Texts that went to the model."""
    answered: int = 0
    parts: list[Probabilities] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Texts that wait."""
        return len(self.texts) - self.taken


@dataclass(slots=True, eq=False)
class _Piece:
    """Texts of one request that go through the model together."""

    job: _Job
    texts: Sequence[str]


class Batcher:
    """Takes texts from many requests and answers them in few forward passes.

    Args:
        max_batch: most texts in one pass.
        wait_ms: how long a batch waits for further requests, in milliseconds, and only right after a batch of
            several requests: then their clients are likely to ask again.
        queue_limit: most texts that wait; of what is left of it a request may take half. An empty queue takes
            any one request.
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
        self._queue: list[_Job] = []
        self._queued_texts = 0
        self._text_s = 0.005
        self._last_jobs = 1
        self._alone_s: float | None = None
        self._alone_at = -math.inf
        self._slice = max_batch
        self._passes_without_first = 0
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

    def close(self, *, answer: bool = True) -> None:
        """Answer what is queued, or drop it, then end the thread. New requests get `Closed`."""
        with self._changed:
            self._closed = True
            if not answer:
                self._queue.clear()
                self._queued_texts = 0
            self._changed.notify()
        self._thread.join()

    def _submit(
        self, served: Served, texts: Sequence[str], finish: Callable[[Probabilities | BaseException], None]
    ) -> None:
        with self._changed:
            if self._closed:
                raise Closed
            # n texts may go where there is room for n, and for n - 1 of others.
            if self._queue and 2 * len(texts) - 1 > self.queue_limit - self._queued_texts:
                raise QueueFull(min(60, max(1, math.ceil(self._queued_texts * self._text_s))))
            if len(texts) == 1:
                self._alone_at = time.monotonic()
            self._queue.append(_Job(served, texts, finish))
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
            deadline = time.monotonic() + (self.wait_s if self._last_jobs > 1 else 0.0)
            while True:
                batch = self._choose()
                left = deadline - time.monotonic()
                full = len(self._queue) > len(batch)
                if full or len(batch) >= self._last_jobs or left <= 0 or self._closed:
                    break
                self._changed.wait(left)
            first = self._queue[0]
            for piece in batch:
                piece.job.taken += len(piece.texts)
                self._queued_texts -= len(piece.texts)
            led = any(piece.job is first for piece in batch)
            self._passes_without_first = 0 if led else self._passes_without_first + 1
            self._queue = [job for job in self._queue if job.left]
            self._last_jobs = len(batch)
            return batch

    def _choose(self) -> list[_Piece]:
        """Who goes through the model next, of those that wait.

        Requests that are answered whole by the next pass are not made slower by slices of larger ones.
        """
        most = self._slice_texts()
        whole = [job for job in self._queue if job.left <= most]
        if self._passes_without_first >= TURN - 1 and self._queue[0].left > most:
            whole = []
        room = self.max_batch if whole else most
        batch: list[_Piece] = []
        for job in whole or self._queue:
            if job.served is not (whole or self._queue)[0].served:
                break  # later ones of this version would overtake it
            if room < job.left and batch and whole:
                break
            texts = job.texts[job.taken : job.taken + room]
            batch.append(_Piece(job, texts))
            room -= len(texts)
            if not room:
                break
        return batch

    def _slice_texts(self) -> int:
        """Most texts of a request that go through the model in one pass."""
        expected = time.monotonic() - self._alone_at < ALONE_S
        return self._slice if expected else self.max_batch

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
        self._learn(len(texts), seconds)
        start = 0
        for piece in batch:
            end = start + len(piece.texts)
            _add_part(piece, {head: rows[start:end] for head, rows in answers.items()})
            start = end
        self._on_batch(len(texts), seconds)

    def _learn(self, texts: int, seconds: float) -> None:
        """Fit the length of slices to how long passes take."""
        if texts == 1:
            self._alone_s = seconds if self._alone_s is None else 0.9 * self._alone_s + 0.1 * seconds
        elif self._alone_s is not None and texts == self._slice:
            allowed_s = SLOWER * self._alone_s
            shorter = max(1, int(texts * allowed_s / seconds))
            self._slice = shorter if seconds > allowed_s else min(self.max_batch, texts + 1)


def _add_part(piece: _Piece, result: Probabilities | BaseException) -> None:
    """Add a part to its request, and finish the request with its last part or first error."""
    job = piece.job
    if job.answered < 0:
        return
    if isinstance(result, BaseException):
        job.answered = -1
        job.finish(result)
        return
    job.parts.append(result)
    job.answered += len(piece.texts)
    if job.answered == len(job.texts):
        whole = job.parts
        job.finish(
            whole[0]
            if len(whole) == 1
            else {head: np.concatenate([part[head] for part in whole]) for head in whole[0]}
        )
