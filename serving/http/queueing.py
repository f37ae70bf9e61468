"""Which texts wait for the model, and which of them go through it next: bounded, and fair to small requests.

Large requests must not keep small ones waiting, nor take their room:

* a request may take at most half of the room that is left (a dynamic threshold: Choudhury & Hahne 1998,
  IEEE/ACM Transactions on Networking), so some is left to smaller ones however many large ones come;
* requests that fit the next pass go first; larger ones are served in slices, one request after the other;
* while requests of one text come, a slice is as long as `SLOWER` passes of one text take: so long may those
  have to wait for it;
* whoever has waited longest leads every `TURN`th pass, so that nobody starves.

Room and passes are counted in texts and in tokens: short texts cost less than long ones.

Not safe for several threads, and knows no clock: `serving.http.batching` has both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.errors import HeadgateError
from serving.http.loading import Served

Probabilities: TypeAlias = dict[str, NDArray[np.float32]]
"""Head → (N, L_h), one row a text."""

Tokens: TypeAlias = Sequence[int]
"""Token ids of one text."""

TOKENS_A_TEXT = 64
"""What a text is reckoned at, in tokens: where texts are longer on average, fewer of them wait and share a
pass than the limits in texts allow."""
SLOWER = 1.5
"""How much longer than the pass of one text that of a slice may take while requests of one text come."""
EXPECTED_S = 10.0
"""How long after a request of one text further ones are expected, in seconds."""
TURN = 8
"""Every so many passes, at least, are led by the request that has waited longest."""
LEARNING = 0.1
"""Weight of the last pass in the figures that are learned from all."""


class QueueFull(HeadgateError):
    """Too many texts wait already."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many texts wait for the model")
        self.retry_after_s = retry_after_s
        """When the queue should have emptied, in whole seconds, at least 1."""


@dataclass(slots=True, eq=False)
class Job:
    """One request."""

    served: Served
    texts: Sequence[Tokens]
    finish: Callable[[Probabilities | BaseException], None]
    taken: int = 0
    """Texts that went to the model."""
    failed: bool = False
    parts: dict[int, Probabilities] = field(default_factory=dict)
    """Number of a text → the answers from it on."""
    answered: int = 0
    """Texts that were answered."""
    tokens_left: int = field(init=False)
    """Tokens of the texts that wait."""

    def __post_init__(self) -> None:
        """Count once what is asked for at every pass."""
        self.tokens_left = tokens_of(self.texts)

    @property
    def left(self) -> int:
        """Texts that wait."""
        return len(self.texts) - self.taken

    def add(self, part: Probabilities | BaseException, piece: Piece) -> None:
        """Add the answers to a piece; the request is finished with its last part or first error. Pieces may
        be answered in any order."""
        if self.failed:
            return
        if isinstance(part, BaseException):
            self.failed = True
            self.finish(part)
            return
        self.parts[piece.start] = part
        self.answered += len(piece.texts)
        if self.answered == len(self.texts):
            parts = [self.parts[start] for start in sorted(self.parts)]
            self.finish(
                part
                if len(parts) == 1
                else {head: np.concatenate([each[head] for each in parts]) for head in part}
            )


def tokens_of(texts: Sequence[Tokens]) -> int:
    """How many tokens they have together."""
    return sum(map(len, texts))


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Texts of one request that go through the model together."""

    job: Job
    texts: Sequence[Tokens]
    start: int
    """Number of the first of them in it."""


class TextQueue:
    """The requests that wait, in the order in which they came.

    Args:
        max_batch: most texts in one pass.
        limit: most texts that wait. An empty queue takes any one request.
    """

    def __init__(self, *, max_batch: int, limit: int) -> None:
        self.max_batch = max_batch
        self.limit = limit
        self.texts = 0
        """Texts that wait."""
        self.tokens = 0
        """Their tokens."""
        self._jobs: list[Job] = []
        self._text_s = 0.005
        self._one_text_s: float | None = None
        self._one_text_at_s = -math.inf
        self._slice = max_batch
        self._passes_without_first = 0

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._jobs)

    def add(self, job: Job, now_s: float) -> None:
        """Let a request wait.

        Raises:
            QueueFull: there is no room for it.
        """
        # n texts may wait where there is room for them, and for n - 1 others.
        tokens, one = job.tokens_left, len(job.texts[0]) if job.texts else 0
        full = 2 * len(job.texts) - 1 > self.limit - self.texts
        if self._jobs and (full or 2 * tokens - one > self.limit * TOKENS_A_TEXT - self.tokens):
            raise QueueFull(min(60, max(1, math.ceil(self.texts * self._text_s))))
        if len(job.texts) == 1:
            self._one_text_at_s = now_s
        self._jobs.append(job)
        self.texts += job.left
        self.tokens += tokens

    def clear(self) -> None:
        """Forget all that wait."""
        self._jobs.clear()
        self.texts = self.tokens = 0

    def next_pass(self, now_s: float) -> list[Piece]:
        """What goes through the model next: texts of one version, at least one if any wait. They still wait.

        Requests that one pass answers whole are not made slower by slices of larger ones.
        """
        most = self._slice if now_s - self._one_text_at_s < EXPECTED_S else self.max_batch
        most_tokens = self.max_batch * TOKENS_A_TEXT
        whole = [job for job in self._jobs if job.left <= most and job.tokens_left <= most_tokens]
        if self._passes_without_first >= TURN - 1 and self._jobs and self._jobs[0] not in whole:
            whole = []
        room, tokens = self.max_batch if whole else most, most_tokens
        pieces: list[Piece] = []
        for job in whole or self._jobs:
            other_version = bool(pieces) and job.served is not pieces[0].job.served
            too_much = bool(whole) and (job.left > room or job.tokens_left > tokens)
            texts = _first(job.texts[job.taken : job.taken + room], tokens, at_least=0 if pieces else 1)
            if not texts or other_version or too_much:
                break  # what comes later waits, too, or it would overtake
            pieces.append(Piece(job, texts, job.taken))
            room -= len(texts)
            tokens -= tokens_of(texts)
        return pieces

    def take(self, pieces: Sequence[Piece]) -> None:
        """Take what `next_pass` gave."""
        led = any(piece.job is self._jobs[0] for piece in pieces)
        self._passes_without_first = 0 if led else self._passes_without_first + 1
        for piece in pieces:
            piece.job.taken += len(piece.texts)
            self.texts -= len(piece.texts)
            taken = tokens_of(piece.texts)
            piece.job.tokens_left -= taken
            self.tokens -= taken
        self._jobs = [job for job in self._jobs if job.left]

    def learn(self, texts: int, seconds: float) -> None:
        """A pass of so many texts took so long: what a text takes, and how long slices may be."""
        self._text_s += LEARNING * (seconds / texts - self._text_s)
        if texts == 1:
            before = seconds if self._one_text_s is None else self._one_text_s
            self._one_text_s = before + LEARNING * (seconds - before)
        elif self._one_text_s is not None and texts == self._slice:
            allowed_s = SLOWER * self._one_text_s
            shorter = max(1, math.floor(texts * allowed_s / seconds))
            self._slice = shorter if seconds > allowed_s else min(self.max_batch, texts + 1)


def _first(texts: Sequence[Tokens], tokens: int, at_least: int) -> Sequence[Tokens]:
    """As many of the first texts as have at most so many tokens, but `at_least` so many texts."""
    for count, text in enumerate(texts):
        tokens -= len(text)
        if tokens < 0 and count >= at_least:
            return texts[:count]
    return texts
