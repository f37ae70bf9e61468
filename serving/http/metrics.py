"""The counters and gauges of `GET /metrics`, in a registry of their own: several endpoints fit in a process.

Names carry their unit; labels come from fixed sets and from the bundle, never from a request. What a version
answered is counted in `serving.http.answer_counts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.http.answer_counts import AnswerCounts, of_versions
from serving.http.loading import Served
from serving.http.queueing import Probabilities
from serving.processes import resident_bytes
from serving.store.board import Counts, WorkerState

ROUTES = (
    *("/predict", "/invocations", "/version", "/metrics", "/docs", "/openapi.json"),
    *("/health", "/healthz", "/livez", "/ping", "/ready", "/readyz", "/v2/health/live", "/v2/health/ready"),
)
"""Routes that are counted by name; all others are `other`."""
V2 = "/v2/models"
"""Name of all routes to a model of the Open Inference Protocol."""

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)
_QUEUED = "headgate_queued_texts"
"""The only figure that ends with the worker that had it."""


def route_name(path: str) -> str:
    """The route of a path as it is counted: one of few names, whatever was asked for."""
    return path if path in ROUTES else V2 if path.startswith(f"{V2}/") else "other"


class Metrics:
    """Counters and gauges of one endpoint: sums over all workers, and gauges with the label `worker`.

    Args:
        workers: what each worker serves now.
        others: what the other workers have counted, dead ones included; None where there are none.
        before: what the worker in whose place this one was started had counted.
    """

    def __init__(
        self,
        workers: Callable[[], Sequence[WorkerState]],
        *,
        others: Callable[[], Iterable[Counts]] | None = None,
        before: Counts | None = None,
    ) -> None:
        self.registry = r = CollectorRegistry()
        self._before = {name: samples for name, samples in (before or {}).items() if name != _QUEUED}
        self._shown = CollectorRegistry()
        if others is None:
            ProcessCollector(registry=self._shown)
        self._shown.register(_Sums(r, lambda: [self._before, *(others() if others is not None else ())]))
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
        self._queued = Gauge(_QUEUED, "Texts that wait for the model", registry=r)
        self._exchanges = Counter("headgate_exchanges", "Versions that began to serve", registry=r)
        self._refusals = Counter("headgate_refusals", "Times a candidate was refused", registry=r)
        self._answers = AnswerCounts()
        r.register(self._answers)

    def reply(self, route: str, status: int, seconds: float) -> None:
        """Count a reply."""
        key = route_name(route), status
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

    def answered(self, served: Served, probabilities: Probabilities, seconds: float) -> None:
        """Count a request that a version answered."""
        self._answers.answered(served, probabilities, seconds)

    def failed(self, served: Served) -> None:
        """Count a request that a version failed at."""
        self._answers.failed(served)

    def exchange(self, served: Served) -> None:
        """A version begins to serve."""
        self._exchanges.inc()
        self._answers.begin(served)
        if self._before:
            self._before = of_versions(self._before, self._answers.kept())

    def refusal(self) -> None:
        """A candidate was refused."""
        self._refusals.inc()

    def counts(self) -> Counts:
        """What this worker has counted, with what those before it in its place had, for the others."""
        return {
            family.name: [(sample.name, sample.labels, sample.value) for sample in family.samples]
            for family in _Sums(self.registry, lambda: [self._before]).collect()
        }

    def text(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return generate_latest(self._shown)


class _Sums(Collector):
    """The figures of a registry, each with what others add to it."""

    def __init__(self, registry: CollectorRegistry, added: Callable[[], Iterable[Counts]]) -> None:
        self._registry = registry
        self._added = added

    def collect(self) -> Iterator[Metric]:
        """One family a metric, with the labels of all."""
        added = list(self._added())
        for family in self._registry.collect():
            sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
            own = [(sample.name, sample.labels, sample.value) for sample in family.samples]
            for name, labels, value in (*own, *(one for each in added for one in each.get(family.name, ()))):
                if not name.endswith("_created"):  # a time, of which there is no sum
                    key = name, tuple(labels.items())
                    sums[key] = sums.get(key, 0.0) + value
            family.samples = []
            for (name, pairs), value in sums.items():
                family.add_sample(name, dict(pairs), value)
            yield family


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
