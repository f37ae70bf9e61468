"""OpenTelemetry: a span a request reaches the operator's collector, in the caller's trace, without texts."""

from __future__ import annotations

import dataclasses
import gzip
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from serving import client
from serving.process.traces import traces_problem
from serving.spec import DeploySpec
from tests.support.hostile_requests import CANARY

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_span_a_request_reaches_the_collector_when_the_endpoint_ends(
    shop: Any, start: Any, spec: Any, collector: Collector
) -> None:
    pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.http", reason="the extra `traces` is not installed"
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from serving.process import control

    shop.release(1)
    state = start(dataclasses.replace(spec, traces_url=collector.url))
    parent = {"traceparent": f"00-{TRACE}-{PARENT}-01", "Content-Type": "application/json"}
    text = f'{{"texts": "rain {CANARY}"}}'.encode()
    asked = urllib.request.Request(f"{state.url}/predict", text, parent)
    with urllib.request.urlopen(asked, timeout=10) as reply:
        assert reply.status == 200
    assert client.request(state.url, "GET", f"/secret-{CANARY}")[0] == 404
    control.stop(shop.root / "endpoints" / "0.json", wait_s=15)
    spans = [
        (span, resource.resource)
        for body in collector.bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    by_name = {span.name: (span, resource) for span, resource in spans}
    span, resource = by_name["POST /predict"]
    told = {each.key: each.value for each in span.attributes}
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert told["http.response.status_code"].int_value == 200
    assert told["headgate.version"].string_value == "1"
    assert [each.value.string_value for each in resource.attributes if each.key == "service.name"] == [
        "headgate toy"
    ]
    assert "GET other" in by_name
    assert not any(CANARY.encode() in body for body in collector.bodies)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.process.traces.EXTRA_MODULE", "no_such_package.exporter")
    assert traces_problem(DeploySpec()) is None
    problem = traces_problem(DeploySpec(traces_url="http://collector:4318/v1/traces"))
    assert problem is not None and 'pip install "headgate[traces]"' in problem
