"""Dynamic micro-batching: texts of requests that arrive together share one forward pass.

Few threads own the model. Texts become tokens as they come, beside them. While they compute, requests queue
up; what has queued is the next batch, so batches grow with the load and a lone request never waits. The queue
is bounded and fair (`serving.http.queueing`). Texts asked of different versions never share a batch. Does not
know HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence

from model.errors import HeadgateError
from serving.http.loading import Served
from serving.http.queueing import Job, Piece, Probabilities, TextQueue

AT_ONCE_CHARS = 4000
"""Characters that become tokens without leaving the loop: less than a millisecond. More would keep the
replies to others waiting."""


class Closed(HeadgateError):
    """The batcher takes on nothing more."""


class Batcher:
    """Takes texts from many requests and answers them in few forward passes.

    Args:
        max_batch: most texts in one pass.
        wait_ms: how long a batch waits for further requests, in milliseconds, and only right after a batch of
            several requests: then their clients are likely to ask again.
        queue_limit: most texts that wait. An empty queue takes any one request.
        at_once: batches that are computed at once: while one waits for the slowest of its threads, or is
            given back, another one uses the cores.
        on_batch: called after each pass with the number of texts and its duration in seconds.
    """

    def __init__(
        self,
        *,
        max_batch: int = 32,
        wait_ms: float = 1.0,
        queue_limit: int = 256,
        at_once: int = 1,
        on_batch: Callable[[int, float], None] = lambda texts, seconds: None,
    ) -> None:
        self.wait_s = wait_ms / 1000
        self._on_batch = on_batch
        self._queue = TextQueue(max_batch=max_batch, limit=queue_limit)
        self._last_jobs = 1
        self._closed = False
        # Whether a thread puts a batch together: others leave the queue to it.
        self._gathering = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run, name=f"batcher-{number}", daemon=True)
            for number in range(at_once)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued_texts(self) -> int:
        """Texts that wait now."""
        return self._queue.texts

    async def answer(self, served: Served, texts: Sequence[str]) -> Probabilities:
        """Probabilities for every text and head, by this version.

        Raises:
            serving.http.queueing.QueueFull: too many texts wait.
            Closed: the batcher was closed before.
            TextError: a text can't be read.
        """
        if sum(map(len, texts)) <= AT_ONCE_CHARS:
            tokens = served.bundle.token_ids(texts)
        else:
            tokens = await asyncio.to_thread(served.bundle.token_ids, texts)
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
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(set_result, result)

        with self._changed:
            if self._closed:
                raise Closed
            self._queue.add(Job(served, tokens, finish), time.monotonic())
            self._changed.notify_all()
        return await future

    def close(self, *, answer: bool = True) -> None:
        """Answer what is queued, or drop it, then end the threads. New requests get `Closed`."""
        with self._changed:
            self._closed = True
            if not answer:
                self._queue.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while batch := self._take():
            self._compute(batch)

    def _take(self) -> list[Piece]:
        """The next batch; empty when closed and nothing is left."""
        with self._changed:
            while True:
                while not self._queue or self._gathering:
                    if self._closed and not self._queue:
                        return []
                    self._changed.wait()
                self._gathering = True
                try:
                    batch = self._gathered()
                finally:
                    self._gathering = False
                    self._changed.notify_all()
                if batch:
                    return batch

    def _gathered(self) -> list[Piece]:
        """What goes through the model next; empty if the queue was dropped meanwhile."""
        deadline = time.monotonic() + (self.wait_s if self._last_jobs > 1 else 0.0)
        while batch := self._queue.next_pass(time.monotonic()):
            left = deadline - time.monotonic()
            full = len(self._queue) > len(batch)
            if full or len(batch) >= self._last_jobs or left <= 0 or self._closed:
                self._queue.take(batch)
                self._last_jobs = len(batch)
                break
            self._changed.wait(left)
        return batch

    def _compute(self, batch: list[Piece]) -> None:
        texts = [tokens for piece in batch for tokens in piece.texts]
        begin = time.monotonic()
        try:
            answers = batch[0].job.served.bundle.probabilities_of(texts)
        except Exception as error:
            if len(batch) == 1:
                with self._changed:
                    batch[0].job.add(error, batch[0])
                return
            # One request must not spoil the others of its batch: each is tried alone.
            for piece in batch:
                self._compute([piece])
            return
        seconds = time.monotonic() - begin
        start = 0
        with self._changed:
            self._queue.learn(len(texts), seconds)
            for piece in batch:
                end = start + len(piece.texts)
                piece.job.add({head: rows[start:end] for head, rows in answers.items()}, piece)
                start = end
        self._on_batch(len(texts), seconds)
