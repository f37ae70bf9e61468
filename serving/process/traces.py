"""One OpenTelemetry span a request, sent to a collector of the operator's: the extra `traces`.

A span says method, route, status and version; never a text, an answer or an address that was asked for. Does
not know what the application answers.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from serving.errors import WrongUsage
from serving.http.metrics import route_name
from serving.http.middleware import VERSION_HEADER, App, Message, Receive, Send
from serving.spec import DeploySpec

EXTRA_MODULE = "opentelemetry.exporter.otlp.proto.http"
"""What the extra brings."""
_VERSION = VERSION_HEADER.lower().encode()


def traces_problem(spec: DeploySpec) -> str | None:
    """Why no traces can be sent although they are asked for; None if they can, or are not asked for."""
    if spec.traces_url is None or _is_installed():
        return None
    return 'traces_url needs the extra `traces`, which is not installed: pip install "headgate[traces]"'


def _is_installed() -> bool:
    try:
        return find_spec(EXTRA_MODULE) is not None
    except ModuleNotFoundError:  # of a package above it
        return False


def with_traces(app: App, spec: DeploySpec, name: str) -> tuple[App, Callable[[], None]]:
    """An application whose requests become spans, and what sends those that wait and ends.

    Args:
        app: what answers.
        spec: `traces_url` names the collector, `traces_share` how many requests become spans.
        name: the model; the service is called `headgate NAME`.

    Raises:
        WrongUsage: the extra is not installed.
    """
    if spec.traces_url is None:
        return app, lambda: None
    if (problem := traces_problem(spec)) is not None:
        raise WrongUsage(f"deploy.{problem}")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    # Made here and given to nobody else: what other libraries trace does not go with it.
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(spec.traces_share)),
        resource=Resource({SERVICE_NAME: f"headgate {name}"}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=spec.traces_url)))
    return Traced(app, provider.get_tracer("headgate"), spec.root_path), provider.shutdown


class Traced:
    """Wraps an application: a span around each HTTP request, within the caller's trace if it names one.

    Args:
        app: what answers.
        tracer: makes the spans.
        root_path: prefix that a proxy may have left on the paths.
    """

    def __init__(self, app: App, tracer: Any, root_path: str) -> None:
        self._app = app
        self._tracer = tracer
        self._root_path = root_path

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        route = route_name(scope["path"].removeprefix(self._root_path))
        with self._tracer.start_as_current_span(
            f"{scope['method']} {route}",
            context=TraceContextTextMapPropagator().extract(headers),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": scope["method"], "http.route": route},
            record_exception=False,  # its message might hold what was sent
        ) as span:

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.set_attribute("http.response.status_code", status)
                    for key, value in message.get("headers", ()):
                        if key.lower() == _VERSION:
                            span.set_attribute("headgate.version", value.decode("latin-1"))
                    if status >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            await self._app(scope, receive, send_noted)
