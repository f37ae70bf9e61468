"""What each version answered, for `GET /metrics`: requests, how long they took, and labels by head.

Of the version that serves and the one before it; those of earlier ones go. Counted are texts that clients
sent to `/predict` and `/invocations`, not the golden texts that a version is tried with when it is loaded.
Does not judge.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from model.bundle.card import HeadCard
from serving.http.loading import Served
from serving.http.queueing import Probabilities
from serving.http.replies import applies
from serving.store.board import Counts

VERSIONS = 2
"""Versions whose counts are kept."""
EDGES_S = tuple(
    round(step * 10.0**power, 6)
    for power in (-3, -2, -1, 0)
    for step in (1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8)
)
"""Upper edges of the cells that durations are counted in, in seconds: each 1.26 times the one before, so that
a p95 that grew by half shows."""
LABEL_BYTES = 200_000
"""Room for the names of a version's labels; the labels of a head that does not fit are not counted."""

REQUESTS = "headgate_version_requests"
SECONDS = "headgate_version_seconds"
HEAD_REQUESTS = "headgate_head_requests"
HEAD_TEXTS = "headgate_head_texts"
LABELS = "headgate_labels"


@dataclass(slots=True)
class _Head:
    """What one head of a version answered."""

    labels: tuple[str, ...]
    """Empty where they are not counted."""
    requests: int = 0
    texts: int = 0
    chosen: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(L,) texts that a label was answered for."""


@dataclass(slots=True)
class _Version:
    """What one version answered."""

    heads: dict[str, _Head]
    answered: int = 0
    failed: int = 0
    seconds: float = 0.0
    cells: list[int] = field(default_factory=lambda: [0] * (len(EDGES_S) + 1))
    """Answers of each cell of `EDGES_S`; the last one is for those beyond."""


class AnswerCounts(Collector):
    """Counts by version."""

    def __init__(self) -> None:
        self._versions: dict[int, _Version] = {}

    def begin(self, served: Served) -> None:
        """A version serves from now on."""
        found = self._of(served)
        others = {number: one for number, one in self._versions.items() if number != served.version}
        self._versions = {**others, served.version: found}  # last: it is the former one of the next

    def answered(self, served: Served, probabilities: Probabilities, seconds: float) -> None:
        """A request was answered: head → (N, L_h)."""
        counts = self._of(served)
        counts.answered += 1
        counts.seconds += seconds
        counts.cells[bisect.bisect_left(EDGES_S, seconds)] += 1
        for name, matrix in probabilities.items():
            head = counts.heads[name]
            head.requests += 1
            head.texts += len(matrix)
            if head.labels:
                head.chosen += applies(served.bundle.card.heads[name], matrix).sum(axis=0, dtype=np.int64)

    def failed(self, served: Served) -> None:
        """A request was not answered although it should have been: status 500."""
        self._of(served).failed += 1

    def kept(self) -> frozenset[str]:
        """Versions that are counted, as they stand in labels of samples."""
        return frozenset(map(str, self._versions))

    def collect(self) -> Iterator[Metric]:
        """One family a figure, whether anything was counted or not."""
        by = ["version", "head"]
        requests = CounterMetricFamily(
            REQUESTS, "Requests that a version answered, or failed at (500)", labels=["version", "outcome"]
        )
        seconds = HistogramMetricFamily(SECONDS, "From a request's texts to its answer", labels=["version"])
        head_requests = CounterMetricFamily(HEAD_REQUESTS, "Requests that a head answered", labels=by)
        head_texts = CounterMetricFamily(HEAD_TEXTS, "Texts that a head answered", labels=by)
        labels = CounterMetricFamily(LABELS, "Texts that a label was answered for", labels=[*by, "label"])
        for version, counts in list(self._versions.items()):
            number = str(version)
            requests.add_metric([number, "answered"], counts.answered)
            requests.add_metric([number, "failed"], counts.failed)
            seconds.add_metric([number], _cumulative(counts.cells), counts.seconds)
            for name, head in counts.heads.items():
                head_requests.add_metric([number, name], head.requests)
                head_texts.add_metric([number, name], head.texts)
                for label, texts in zip(head.labels, head.chosen.tolist(), strict=True):
                    labels.add_metric([number, name, label], texts)
        yield from (requests, seconds, head_requests, head_texts, labels)

    def _of(self, served: Served) -> _Version:
        found = self._versions.get(served.version)
        if found is None:
            # A new mapping, not a change of the old one: another thread may be reading that.
            earlier = list(self._versions.items())[1 - VERSIONS :]
            found = _Version(heads=_heads(served.bundle.card.heads))
            self._versions = {**dict(earlier), served.version: found}
        return found


def of_versions(counts: Counts, versions: frozenset[str]) -> dict[str, Sequence[Sequence[Any]]]:
    """Counts without those of other versions: what a dead worker had counted of them goes, too."""
    return {
        name: [one for one in samples if "version" not in one[1] or one[1]["version"] in versions]
        for name, samples in counts.items()
    }


def _heads(card: Mapping[str, HeadCard]) -> dict[str, _Head]:
    room, made = LABEL_BYTES, {}
    for name, head in card.items():
        needed = sum(len(json.dumps(label)) + len(name) + 80 for label in head.labels)
        labels = head.labels if needed <= room else ()
        room -= needed if labels else 0
        made[name] = _Head(labels=labels, chosen=np.zeros(len(labels), np.int64))
    return made


def _cumulative(cells: Sequence[int]) -> list[tuple[str, float]]:
    """Cells as Prometheus has them: each edge with all that lies below it."""
    edges = [*map(str, EDGES_S), "+Inf"]
    totals = np.cumsum(cells).tolist()
    return list(zip(edges, totals, strict=True))
