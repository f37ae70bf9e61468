"""What `GET /metrics` tells Prometheus. A registry of its own, so that several endpoints fit in a process.

Names carry their unit; labels come from fixed sets, never from a request.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

ROUTES = ("/predict", "/invocations", "/health", "/ready", "/version", "/metrics", "/ping", "/openapi.json")
"""Routes that are counted by name; all others are `other`."""

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters and gauges of one endpoint."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        r = self.registry
        self._requests = Counter("headgate_requests", "Replies sent", ["route", "status"], registry=r)
        self._seconds = Histogram(
            "headgate_request_seconds", "From request to reply", ["route"], buckets=_SECONDS, registry=r
        )
        self._batch_texts = Histogram("headgate_batch_texts", "Texts a pass", buckets=_TEXTS, registry=r)
        self._batch_seconds = Histogram(
            "headgate_batch_seconds", "Duration of a pass", buckets=_SECONDS, registry=r
        )
        self.queued = Gauge("headgate_queued_texts", "Texts that wait for the model", registry=r)
        self._version = Gauge("headgate_version", "Version that serves; 0 before the first", registry=r)
        self._exchanges = Counter("headgate_exchanges", "Versions that began to serve", registry=r)
        self._refusals = Counter("headgate_refusals", "Times a candidate was refused", registry=r)
        self._refused = Gauge(
            "headgate_refused", "1 while what the pointer asks for does not serve", registry=r
        )
        self._overridden = Gauge("headgate_overridden", "1 while a version serves by an override", registry=r)

    def reply(self, route: str, status: int, seconds: float) -> None:
        """Count a reply."""
        route = route if route in ROUTES else "other"
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, texts: int, seconds: float) -> None:
        """Count a forward pass."""
        self._batch_texts.observe(texts)
        self._batch_seconds.observe(seconds)

    def exchange(self, version: int, overridden: bool) -> None:
        """A version begins to serve."""
        self._version.set(version)
        self._exchanges.inc()
        self._overridden.set(overridden)

    def refusal(self) -> None:
        """A candidate was refused."""
        self._refusals.inc()

    def text(self, refused: bool) -> bytes:
        """The exposition in Prometheus' text format."""
        self._refused.set(refused)
        return generate_latest(self.registry)
