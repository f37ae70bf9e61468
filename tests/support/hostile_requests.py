"""Requests that an endpoint must survive, and what a reply to them may look like.

Written by hand, with the bodies of `tests.support.hostile_bodies`. `flaws` lists what is wrong with a reply:
a failure, a wrong status, an echo, or a word that only a traceback, a path or an exception would bring.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.support.hostile_bodies import CANARY, HOSTILE_INVOCATIONS, HOSTILE_PREDICT

LIMITS = {"max_body_bytes": 20_000, "max_texts": 8, "max_chars": 1000}
"""Settings of the endpoint that the statuses below are for."""
LARGEST_REFUSAL = 250
"""Most bytes that the body of a refusal may have."""
LEAKS = re.compile(
    rb"Traceback|site-packages|\.py\b|/usr/|/home/|/tmp/|/root/|onnxruntime|starlette|uvicorn|"
    rb"\b[A-Z][A-Za-z]*(?:Error|Exception|Warning)\b|line \d+"
)
"""What only a traceback, a path or an exception would bring into a reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """One request and the status that it deserves."""

    body: bytes = b'{"texts": "rain"}'
    status: int
    method: str = "POST"
    route: str = "/predict"
    headers: Mapping[str, str] = field(default_factory=dict)


ODD = (
    Hostile(headers={"Content-Type": "text/plain"}, status=415),
    Hostile(headers={"Content-Type": "text/csv"}, status=415),
    Hostile(headers={"Content-Type": "multipart/form-data"}, status=415),
    Hostile(headers={"Content-Type": "application/xml"}, status=415),
    Hostile(headers={"Content-Type": CANARY}, status=415),
    Hostile(headers={"Content-Type": "application/json; charset=latin-1"}, status=200),
    Hostile(headers={"Content-Type": "APPLICATION/JSON"}, status=200),
    Hostile(headers={"Authorization": "Bearer " + CANARY}, status=200),
    Hostile(headers={"Cookie": "session=" + CANARY}, status=200),
    Hostile(headers={"Content-Encoding": "gzip"}, status=200),
    Hostile(headers={"Accept": "text/html"}, status=200),
    Hostile(headers={"Accept-Encoding": "bomb;q=99"}, status=200),
    Hostile(headers={"Expect": "100-continue"}, status=200),
    Hostile(headers={"Range": "bytes=0-1"}, status=200),
    Hostile(headers={"Upgrade": "websocket", "Connection": "Upgrade"}, status=200),
    Hostile(headers={"X-Headgate-Version": CANARY}, status=200),
    Hostile(headers={"X-Forwarded-For": CANARY, "X-Forwarded-Proto": "gopher"}, status=200),
    Hostile(headers={"X-HTTP-Method-Override": "DELETE"}, status=200),
    Hostile(method="GET", status=405),
    Hostile(method="PUT", status=405),
    Hostile(method="PATCH", status=405),
    Hostile(method="DELETE", status=405),
    Hostile(method="TRACE", status=405),
    Hostile(method="OPTIONS", status=405),
    Hostile(method="BREW", status=405),
    Hostile(route="/ready", status=405),
    Hostile(route="/metrics", status=405),
    Hostile(route="/predict/", status=404),
    Hostile(route="/predict/../version", status=404),
    Hostile(route="/../../../../etc/passwd", status=404),
    Hostile(route="//predict", status=404),
    Hostile(route="/%70redict", status=200),
    Hostile(route="/predict%00", status=404),
    Hostile(route="/predict%0d%0aX-Injected:%20yes", status=404),
    Hostile(route="/%ff%fe", status=404),
    Hostile(route="/docs", status=405),
    Hostile(method="GET", route="/" + CANARY, status=404),
    Hostile(method="GET", route="/" + "a" * 5000, status=404),
    Hostile(route="/predict?texts=" + CANARY, status=200),
    Hostile(route="/predict?" + "a=b&" * 1000, status=200),
)
"""Odd routes, methods and headers."""

RAW = (
    b"\x00\x01\x02\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nBad Header : y\r\nContent-Length: 0\r\n\r\n",
)
"""What is hardly HTTP; each is to be refused with 400 or 413."""


def by_hand() -> Iterator[Hostile]:
    """All requests written by hand but those of `RAW`."""
    for body, status in HOSTILE_PREDICT:
        yield Hostile(body=body, status=status)
    for payload in HOSTILE_INVOCATIONS:
        yield Hostile(route="/invocations", body=json.dumps(payload).encode(), status=422)
    yield from ODD


def send(
    url: str,
    body: bytes,
    route: str = "/predict",
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """One request with these very bytes: status, headers (names in lower case) and body of the reply."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request(method, route, body, {"Content-Type": "application/json", **(headers or {})})
        reply = connection.getresponse()
        return reply.status, {key.lower(): value for key, value in reply.getheaders()}, reply.read()
    finally:
        connection.close()


def send_raw(url: str, raw: bytes) -> bytes:
    """The beginning of what comes back for these bytes."""
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as connection:
        connection.sendall(raw)
        return connection.recv(4096)


def flaws(
    status: int, headers: Mapping[str, str], reply: bytes, *, version: int = 1, wanted: int | None = None
) -> list[str]:
    """What is wrong with a reply, a few words each; empty for one that does no harm.

    Args:
        status: status of the reply.
        headers: its headers, names in lower case.
        reply: its body.
        version: version that the reply must name.
        wanted: the status that it should have; None where any below 500 will do.
    """
    found = []
    if status >= 500:
        found.append(f"status {status}")
    if wanted is not None and status != wanted:
        found.append(f"status {status} instead of {wanted}")
    if CANARY.encode() in reply or any(CANARY in value for value in headers.values()):
        found.append("what was sent comes back")
    if headers.get("x-headgate-version") != str(version):
        found.append(f"names version {headers.get('x-headgate-version')}")
    if headers.get("content-type", "").startswith("application/json") and LEAKS.search(reply):
        found.append("holds a traceback, a path or an exception")
    if status >= 400:
        found += _refusal_flaws(reply)
    return found


def _refusal_flaws(reply: bytes) -> Iterator[str]:
    if len(reply) > LARGEST_REFUSAL:
        yield f"a refusal of {len(reply)} bytes"
    try:
        error = json.loads(reply)["error"]
        # The Open Inference Protocol has a sentence there.
        if not isinstance(error, str) and set(error) != {"code", "message"}:
            yield "a refusal with other fields"
    except (ValueError, KeyError, TypeError):
        yield "a refusal of another shape"
