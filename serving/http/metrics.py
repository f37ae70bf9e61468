"""The counters and gauges of `GET /metrics`, in a registry of their own: several endpoints fit in a process.

Names carry their unit; labels come from fixed sets, never from a request.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from serving.processes import resident_bytes
from serving.store.board import WorkerState

ROUTES = ("/predict", "/invocations", "/health", "/ready", "/version", "/metrics", "/ping", "/openapi.json")
"""Routes that are counted by name; all others are `other`."""

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)


_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """Counters and gauges of one endpoint: sums over all workers, and gauges with the label `worker`.

    Where a supervisor has set `PROMETHEUS_MULTIPROC_DIR`, the Prometheus client keeps the counters of all
    workers in files there, and any of them can add them up.

    Args:
        workers: what each worker serves now.
    """

    def __init__(self, workers: Callable[[], Sequence[WorkerState]]) -> None:
        self.registry = r = CollectorRegistry()
        self._shown = r
        self._folder = os.environ.get(_FOLDER_VARIABLE)
        if self._folder is not None:
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown, self._folder)  # type: ignore[no-untyped-call]
        else:
            ProcessCollector(registry=r)
        self._shown.register(_Workers(workers))
        self._requests = Counter("headgate_requests", "Replies sent", ["route", "status"], registry=r)
        self._seconds = Histogram(
            "headgate_request_seconds", "From request to reply", ["route"], buckets=_SECONDS, registry=r
        )
        self._counted: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._batch_texts = Histogram("headgate_batch_texts", "Texts a pass", buckets=_TEXTS, registry=r)
        self._batch_seconds = Histogram(
            "headgate_batch_seconds", "Duration of a pass", buckets=_SECONDS, registry=r
        )
        self._queued = Gauge(
            "headgate_queued_texts",
            "Texts that wait for the model",
            registry=r,
            multiprocess_mode="livesum",
        )
        self._exchanges = Counter("headgate_exchanges", "Versions that began to serve", registry=r)
        self._refusals = Counter("headgate_refusals", "Times a candidate was refused", registry=r)

    def reply(self, route: str, status: int, seconds: float) -> None:
        """Count a reply."""
        key = route if route in ROUTES else "other", status
        if key not in self._counted:  # kept, because a look-up by labels takes some µs
            self._counted[key] = self._requests.labels(key[0], str(status)), self._seconds.labels(key[0])
        replies, durations = self._counted[key]
        replies.inc()
        durations.observe(seconds)

    def batch(self, texts: int, seconds: float, queued: int) -> None:
        """Count a forward pass, after which so many texts wait."""
        self._queued.set(queued)
        self._batch_texts.observe(texts)
        self._batch_seconds.observe(seconds)

    def exchange(self) -> None:
        """A version begins to serve."""
        self._exchanges.inc()

    def refusal(self) -> None:
        """A candidate was refused."""
        self._refusals.inc()

    def text(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return generate_latest(self._shown)


class _Workers(Collector):
    """What each worker serves, looked up when it is asked for."""

    def __init__(self, workers: Callable[[], Sequence[WorkerState]]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One gauge a figure, one sample a worker."""
        gauges = {
            "headgate_version": "Version that serves; 0 before the first",
            "headgate_refused": "1 while what the pointer asks for does not serve",
            "headgate_overridden": "1 while a version serves by an override",
            "headgate_worker_up": "1 while the worker runs",
            "headgate_worker_resident_bytes": "Resident set of the worker",
        }
        families = [GaugeMetricFamily(name, about, labels=["worker"]) for name, about in gauges.items()]
        for worker in self._workers():
            figures = (
                worker.version or 0,
                worker.refused is not None,
                worker.overridden,
                worker.pid is not None,
                resident_bytes(worker.pid),
            )
            for family, figure in zip(families, figures, strict=True):
                family.add_metric([str(worker.worker)], float(figure))
        yield from families
